"""The ZeroMQ doors, asked by Python's zmq as publishers and scripts do: every request with one
socket and with many outstanding, the signal at the start of each generation, errors word for
word, CURVE."""

import json
import os

import pytest
import zmq
import zmq.auth

from testing.e2e import doors, system, tables
from testing.e2e.tables import INTEGER, TEXT

FLAGS = {"doors": {"zmq": {}}, "store": {"--retain": 100}, "query": {"--query-timeout": "120s"}}

OK = b'{"response_op":"ok","identity":"qasino"}'
RESULT = (b'{"response_op":"result_table","identity":"qasino","table":{"column_names":["a","b"],'
          b'"rows":[["1","x"],["2",""]]},"max_widths":{"0":1,"1":1}}')


def error(message):
    return ('{"response_op":"error","identity":"qasino","error_message":'
            + json.dumps(message, ensure_ascii=False) + "}").encode()


class Sockets:
    """Sockets that are closed with the test."""

    def __init__(self, qasino):
        self.qasino = qasino
        self.context = zmq.Context()

    def open(self, kind, what="zmq"):
        opened = self.context.socket(kind)
        opened.linger = 0
        opened.rcvtimeo = opened.sndtimeo = int(system.DEADLINE * 1000)
        opened.connect(f"tcp://127.0.0.1:{self.qasino.door(what)}")
        return opened

    def close(self):
        self.context.destroy(linger=0)


@pytest.fixture(name="sockets")
def sockets_fixture(qasino, table):  # pylint: disable=unused-argument
    opened = Sockets(qasino)
    yield opened
    opened.close()


@pytest.fixture(name="table", scope="module")
def table_fixture(qasino):
    qasino.client.publish("h1", tables.table("t", {
        "a": (INTEGER, [1, 2]), "b": (TEXT, ["x", None])}), static=True)
    qasino.client.query_until("SELECT * FROM t")


@pytest.fixture(name="request_")
def request_fixture(sockets):
    """A function that makes a request by a REQ socket; the parts of the reply."""
    req = sockets.open(zmq.REQ)

    def request(message):
        req.send(message if isinstance(message, bytes) else json.dumps(message).encode())
        return req.recv_multipart()

    return request


@pytest.mark.parametrize("sql", ["select a, b from t", "select a, b from t;",
                                 " SELECT a,\nb FROM t "])
def test_query(request_, sql):
    assert request_({"op": "query", "sql": sql}) == [RESULT]


def test_many_long_answers_at_once_are_whole(qasino, sockets):
    dealer = sockets.open(zmq.DEALER)
    rows = 5_000
    for number in range(20):
        dealer.send_multipart([b"", json.dumps({"op": "query", "sql": (
            f"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {rows}) "
            f"SELECT x, printf('%0200d', x), {number} FROM c")}).encode()])
    numbers = set()
    for _ in range(20):
        answer = json.loads(dealer.recv_multipart()[-1])
        assert answer["response_op"] == "result_table", answer
        assert len(answer["table"]["rows"]) == rows
        numbers.add(answer["table"]["rows"][-1][2])
    assert len(numbers) == 20
    system.wait_for(lambda: "\nqasino_query_active 0\n" in qasino.query.http("/metrics")[1],
                    "no query runs any more")


def test_a_query_has_other_keys(request_):
    assert request_({"identity": "me", "op": "query", "sql": "select a, b from t",
                     "color": {"x": [1]}, "use_write_db": 0}) == [RESULT]


@pytest.mark.parametrize("sql", ["show tables;", "SHOW tables LIKE 't'", "show connections",
                                 "show info", "show views", "with x as (select 1) select * from x",
                                 "values (1)", "explain select 1"])
def test_statements_other_than_select(request_, sql):
    (reply,) = request_({"op": "query", "sql": sql})
    assert json.loads(reply)["response_op"] == "result_table"


def test_desc_has_no_widths(request_):
    assert request_({"op": "query", "sql": "desc t"}) == [
        b'{"response_op":"result_table","identity":"qasino","table":{"column_names":'
        b'["column_name","column_type"],"rows":[["a","INTEGER"],["b","TEXT"]]}}']


def test_a_query_without_rows_has_its_real_column_names(request_):
    assert request_({"op": "query", "sql": "select a, b from t where 0"}) == [
        b'{"response_op":"result_table","identity":"qasino","table":{"column_names":["a","b"],'
        b'"rows":[]},"max_widths":{"0":1,"1":1}}']


@pytest.mark.parametrize("word", ["quit;", "exit;", "logout;"])
def test_goodbye_is_answered_without_a_response_op(request_, word):
    assert request_({"op": "query", "sql": word}) == [b'{"identity":"qasino"}']


def test_add_table_data(qasino, request_):
    message = {"op": "add_table_data", "identity": "host1", "persist": 1,
               "table": {"tablename": "example", "column_names": ["a", "b"],
                         "column_types": ["int", "text"], "rows": [[1, "x"], [2, None]]}}
    assert request_(message) == [OK]
    qasino.client.query_until("SELECT * FROM example")
    assert request_({"op": "query", "sql": "select * from example"}) == [RESULT]


def test_a_table_of_many_rows(qasino, request_):
    rows = [[n, f"text of row {n}", n / 8] for n in range(50_000)]
    assert request_({"op": "add_table_data", "identity": "h1", "persist": 1, "table": {
        "tablename": "many", "column_names": ["n", "t", "r"],
        "column_types": ["int", "string", "real"], "rows": rows}}) == [OK]
    answer = qasino.client.query_until("SELECT count(*), sum(n), sum(r) FROM many")
    assert answer.rows == [(50_000, 1_249_975_000, 156_246_875.0)]


def test_a_long_result(request_):
    (reply,) = request_({"op": "query", "sql":
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 100000) "
        "select i, 'row ' || i as name from n"})
    rows = json.loads(reply)["table"]["rows"]
    assert len(rows) == 100_000 and rows[-1] == ["100000", "row 100000"]


def test_use_write_db_asks_the_running_generation(qasino, request_):

    def attempt():
        qasino.client.wait_for_a_new_generation(len(qasino.ingests) - 1)
        request_({"op": "add_table_data", "identity": "h1", "table": {
            "tablename": "just_now", "column_names": ["n"], "column_types": ["int"],
            "rows": [[7]]}})
        (reply,) = request_({"op": "query", "sql": "select n from just_now", "use_write_db": 1})
        return json.loads(reply).get("table", {}).get("rows") == [["7"]]

    system.wait_for(attempt, "a row of the running generation")
    (reply,) = request_({"op": "query", "sql": "select * from qasino_server_info",
                         "use_write_db": True})
    assert json.loads(reply)["error_message"] == "SQLError: no such table: qasino_server_info"


def test_get_table_list_has_two_parts(qasino, request_):
    assert request_({"op": "add_table_data", "identity": "h1", "persist": 1, "table": {
        "tablename": "listed", "column_names": ["n"], "column_types": ["int"],
        "rows": [[1], [2], [3]]}}) == [OK]
    qasino.client.query_until("SELECT * FROM listed")
    head, values = request_({"op": "get_table_list"})
    assert head == b'{"response_op":"tables_list","identity":"qasino"}'
    values = json.loads(values)
    assert list(values["listed"]) == ["updates", "nr_rows", "last_update_epoch"]
    assert (values["listed"]["updates"], values["listed"]["nr_rows"]) == (1, 3)
    assert isinstance(values["listed"]["last_update_epoch"], float)
    assert values["t"]["nr_rows"] == 2 and "qasino_server_info" in values


# Errors, word for word; where the rest is another's wording: how they begin.

ERRORS = [
    (b"", "Failed to parse JSON message: "),
    (b"{", "Failed to parse JSON message: "),
    (b'{"op":"query","sql":"select 1"}}', "Failed to parse JSON message: "),
    (b"\xff\xfe", "Failed to parse JSON message: "),
    (b"null", "Unrecognized request"),
    ({"op": None}, "Unrecognized request"),
    ({}, "Unrecognized request"),
    ({"sql": "select 1"}, "Unrecognized request"),
    ({"op": "x"}, "Unrecognized op 'x'"),
    ({"op": ""}, "Unrecognized op ''"),
    ({"op": "generation_signal"}, "Unrecognized op 'generation_signal'"),
    ({"op": "add_csv_table_data"}, "Unrecognized op 'add_csv_table_data'"),
    ({"op": "query"}, "Must specify sql"),
    ({"op": "query", "sql": None}, "Must specify sql"),
    ({"op": "query", "sql": "select 'a"}, "Incomplete sql statement"),
    ({"op": "query", "sql": "select * from nowhere"}, "SQLError: no such table: nowhere"),
    ({"op": "query", "sql": "select 1; select 2"}, "SQLError: "),
    ({"op": "query", "sql": "drop table t"}, "ERROR: Unrecognized statement: drop table t"),
    ({"op": "query", "sql": "desc nowhere"}, None),
    ({"op": "add_table_data"}, "Invalid input format: 'table'"),
    ({"op": "add_table_data", "identity": "h", "table": {}}, "Invalid input format: 'tablename'"),
    ({"op": "add_table_data", "identity": "h", "table": {
        "tablename": "bad", "column_names": ["a b"], "column_types": ["int"], "rows": []}},
     "Invalid input format: Invalid column name 'a b'"),
    ({"op": "add_table_data", "identity": "h", "table": {
        "tablename": "bad", "column_names": ["a"], "column_types": ["number"], "rows": []}},
     "Invalid input format: Invalid column type 'number'"),
    ({"op": "add_table_data", "identity": "h", "table": {
        "tablename": "bad", "column_names": ["a"], "column_types": ["int"]}},
     "Invalid input format: 'rows'"),
    ({"op": "add_table_data", "identity": "h", "table": {
        "tablename": "bad", "column_names": ["a"], "column_types": ["int"], "rows": [[1], []]}},
     "Invalid input format: "),
    ({"op": "add_table_data", "table": {
        "tablename": "bad", "column_names": ["a"], "column_types": ["int"], "rows": [[1]]}},
     "Invalid input format: "),
]


@pytest.mark.parametrize("message, said", ERRORS)
def test_errors(request_, message, said):
    (reply,) = request_(message)
    text = json.loads(reply)["error_message"]
    assert reply == error(text)
    if said is None:
        assert "Table nowhere not found" in text
    elif said.endswith(": ") and not said.startswith("Invalid input format: '"):
        assert text.startswith(said) and len(text) > len(said)
    else:
        assert text.removesuffix(";") == said


@pytest.mark.parametrize("text", ["1", "true", "[]", '"query"', "1.5", "[{}]"])
def test_a_message_that_is_no_object_is_answered(request_, text):
    (reply,) = request_(text.encode())
    assert json.loads(reply)["response_op"] == "error"


def test_a_dealer_has_many_requests_outstanding(sockets):
    dealer = sockets.open(zmq.DEALER)
    count = 500
    for n in range(count):
        message = {"op": "query", "sql": f"select {n} as n"}
        dealer.send_multipart([b"", json.dumps(message).encode()])
    seen = set()
    for _ in range(count):
        empty, reply = dealer.recv_multipart()
        assert empty == b""
        seen.add(json.loads(reply)["table"]["rows"][0][0])
    assert seen == {str(n) for n in range(count)}


def test_an_envelope_comes_back_as_it_was(sockets):
    dealer = sockets.open(zmq.DEALER)
    envelope = [b"one", b"\x00two", b"3" * 300]
    for message in ({"op": "query", "sql": "select 1"}, {"op": "x"}, {"op": "get_table_list"}):
        dealer.send_multipart([*envelope, b"", json.dumps(message).encode()])
        parts = dealer.recv_multipart()
        assert parts[:4] == [*envelope, b""]
        assert len(parts) == (6 if message["op"] == "get_table_list" else 5)


def test_requests_are_mixed_as_clients_like(qasino, sockets):
    dealer = sockets.open(zmq.DEALER)
    kinds = ("query", "add_table_data", "get_table_list", "nonsense")
    for n in range(200):
        kind = kinds[n % 4]
        message = {"op": kind, "sql": "select 1", "identity": f"h{n}", "persist": 1, "table": {
            "tablename": "mixed", "column_names": ["n"], "column_types": ["int"], "rows": [[n]]}}
        dealer.send_multipart([str(n).encode(), b"", json.dumps(message).encode()])
    expected = {"query": "result_table", "add_table_data": "ok", "get_table_list": "tables_list",
                "nonsense": "error"}
    seen = set()
    for _ in range(200):
        number, empty, first, *_ = dealer.recv_multipart()
        assert empty == b""
        seen.add(int(number))
        assert json.loads(first)["response_op"] == expected[kinds[int(number) % 4]]
    assert seen == set(range(200))
    qasino.client.query_until("SELECT count(*) FROM mixed", lambda answer: answer.rows == [(50,)])


def test_a_slow_statement_holds_up_no_other(sockets):
    slow, quick = sockets.open(zmq.REQ), sockets.open(zmq.REQ)
    slow.send(json.dumps({"op": "query", "sql":
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 3000000) "
        "select count(*) as n from n"}).encode())
    for n in range(20):
        quick.send(json.dumps({"op": "query", "sql": f"select {n}"}).encode())
        assert json.loads(quick.recv())["table"]["rows"] == [[str(n)]]
    assert json.loads(slow.recv())["table"]["rows"] == [["3000000"]]


def test_a_client_that_goes_away_harms_no_other(sockets, request_):
    for _ in range(20):
        gone = sockets.open(zmq.REQ)
        gone.send(json.dumps({"op": "query", "sql": "select a, b from t"}).encode())
        gone.close()
    assert request_({"op": "query", "sql": "select a, b from t"}) == [RESULT]


# The signal.

def read_signal(frame):
    assert frame.startswith(b"GENSIG\0")
    return json.loads(frame[len(b"GENSIG\0"):])


def test_each_generation_begins_with_a_signal(sockets):
    subscriber = sockets.open(zmq.SUB, "pubsub")
    subscriber.setsockopt(zmq.SUBSCRIBE, b"GENSIG")
    signals = []
    for _ in range(3):
        frames = subscriber.recv_multipart()
        assert len(frames) == 1
        signals.append(read_signal(frames[0]))
    for signal in signals:
        assert list(signal) == ["op", "identity", "generation_number", "generation_duration_s"]
        assert signal["op"] == "generation_signal" and signal["identity"] == doors.IDENTITY
        assert signal["generation_duration_s"] == 1
    numbers = [signal["generation_number"] for signal in signals]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


def test_a_subscriber_to_something_else_hears_nothing(sockets):
    other, subscriber = sockets.open(zmq.SUB, "pubsub"), sockets.open(zmq.SUB, "pubsub")
    other.setsockopt(zmq.SUBSCRIBE, b"GENSIGNAL")
    subscriber.setsockopt(zmq.SUBSCRIBE, b"")
    for _ in range(2):
        subscriber.recv()
    assert other.poll(0) == 0


def test_the_signals_number_is_that_of_the_generation_now_being_collected(qasino, sockets):
    subscriber = sockets.open(zmq.SUB, "pubsub")
    subscriber.setsockopt(zmq.SUBSCRIBE, b"GENSIG")
    number = read_signal(subscriber.recv())["generation_number"]
    # What is published now is in that one or, when this is slow, in a later one.
    response = qasino.client.publish("h1", tables.table("now", {"a": (INTEGER, [1])}))
    assert response.generation >= number
    # Readers see it after the next signal.
    assert qasino.client.generation() < number + 2
    qasino.client.wait_for_generation(number)


def test_a_publisher_sends_on_the_signal(qasino, sockets, request_):
    subscriber = sockets.open(zmq.SUB, "pubsub")
    subscriber.setsockopt(zmq.SUBSCRIBE, b"GENSIG")
    for _ in range(3):
        number = read_signal(subscriber.recv())["generation_number"]
        assert request_({"op": "add_table_data", "identity": "h1", "table": {
            "tablename": "on_signal", "column_names": ["n"], "column_types": ["int"],
            "rows": [[number]]}}) == [OK]
    answer = qasino.client.query_until("SELECT n FROM on_signal")
    assert len(answer.rows) == 1


# CURVE.

@pytest.fixture(name="keys")
def keys_fixture(tmp_path):
    """Files with the keys of a server and two clients."""
    for name in ("server", "friend", "stranger"):
        zmq.auth.create_certificates(str(tmp_path), name)
    return {name: zmq.auth.load_certificate(str(tmp_path / f"{name}.key_secret"))
            for name in ("server", "friend", "stranger")}


def curve_client(context, port, client, server):
    opened = context.socket(zmq.REQ)
    opened.linger = 0
    opened.curve_publickey, opened.curve_secretkey = client
    opened.curve_serverkey = server
    opened.connect(f"tcp://127.0.0.1:{port}")
    return opened


def test_curve(keys, tmp_path, start):
    secret, clients = tmp_path / "server.secret", tmp_path / "clients"
    secret.write_bytes(keys["server"][1] + b"\n")
    os.chmod(secret, 0o600)
    clients.write_bytes(b"# friends\n" + keys["friend"][0] + b"\n")
    qasino = start({"doors": {"zmq": {"--curve-secret-key": secret, "--curve-clients": clients}}})
    port = qasino.door("zmq")
    context = zmq.Context()
    try:
        friend = curve_client(context, port, keys["friend"], keys["server"][0])
        stranger = curve_client(context, port, keys["stranger"], keys["server"][0])
        misled = curve_client(context, port, keys["friend"], keys["stranger"][0])
        plain = context.socket(zmq.REQ)
        plain.connect(f"tcp://127.0.0.1:{port}")
        question = json.dumps({"op": "query", "sql": "select 1"}).encode()
        for each in (stranger, misled, plain, friend):
            each.send(question)
        for _ in range(3):
            assert friend.poll(int(system.DEADLINE * 1000))
            assert json.loads(friend.recv())["table"]["rows"] == [["1"]]
            friend.send(question)
        for each in (stranger, misled, plain):
            assert each.poll(0) == 0
    finally:
        context.destroy(linger=0)
