"""Bad input gets a clear error with a canonical code, and the process goes on."""

import socket
import struct

import grpc
import pytest
from qasino.v1 import ingest_pb2, query_pb2, snapshot_pb2, table_pb2

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER, REAL, TEXT

Column = table_pb2.Column
Table = table_pb2.Table


@pytest.fixture(name="qasino", scope="module", params=sorted(system.MODES))
def qasino_fixture(request, tmp_path_factory):
    """As the common one, with limits that a test can reach."""
    directory = str(tmp_path_factory.mktemp(request.param))
    with system.kept(system.MODES[request.param](
            directory, query_flags={"--query-timeout": "2s", "--max-rows": 1000})) as started:
        yield started


def good_table(name="good"):
    return tables.table(name, {"a": (INTEGER, [1, 2])})


@pytest.fixture(autouse=True)
def the_processes_go_on(qasino):
    """After each test: everything still runs, and publishes and answers."""
    yield
    for program in qasino.programs:
        assert program.exit_code() is None, f"{program.name} ended"
    for ingest in range(len(qasino.ingests)):
        qasino.client.publish("after", good_table("afterwards"), ingest)
    assert qasino.client.query("SELECT 1").rows == [(1,)]


# name: (identity, table, options, words of the message)
BAD_PUBLISHES = {
    "no table": ("h", None, {}, ["table"]),
    "no identity": ("", good_table(), {}, ["identity"]),
    "identity too long": ("h" * 257, good_table(), {}, ["identity", "256"]),
    "control character in identity": ("h\n1", good_table(), {}, ["identity"]),
    "empty table name": ("h", tables.table("", {"a": (INTEGER, [1])}), {}, ["name"]),
    "table name that is none": ("h", tables.table("a b", {"a": (INTEGER, [1])}), {}, ["'a b'"]),
    "table name with quotes": ("h", tables.table('a";--', {"a": (INTEGER, [1])}), {}, ["name"]),
    "table name begins with a digit": ("h", tables.table("1a", {"a": (INTEGER, [1])}), {},
                                       ["'1a'"]),
    "table name too long": ("h", tables.table("a" * 129, {"a": (INTEGER, [1])}), {}, ["128"]),
    "table name of SQLite": ("h", tables.table("sqlite_x", {"a": (INTEGER, [1])}), {},
                             ["sqlite_"]),
    "table name of the server": ("h", tables.table("QASINO_server_x", {"a": (INTEGER, [1])}), {},
                                 ["server_"]),
    "no columns": ("h", Table(name="t"), {}, ["'t'", "column"]),
    "column name that is none": ("h", tables.table("t", {"a": (INTEGER, [1]),
                                                         "b-c": (INTEGER, [1])}), {}, ["'b-c'"]),
    "column named twice": ("h", Table(name="t", columns=[
        Column(name="a", type=INTEGER, integers=[1]), Column(name="A", type=TEXT, texts=["x"])]),
        {}, ["'A'"]),
    "ragged columns": ("h", Table(name="t", columns=[
        Column(name="a", type=INTEGER, integers=[1, 2]),
        Column(name="b", type=INTEGER, integers=[1])]), {}, ["'b'", "row"]),
    "type unsaid": ("h", Table(name="t", columns=[Column(name="a", integers=[1])]), {},
                    ["'a'", "type"]),
    "type unknown": ("h", Table(name="t", columns=[Column(name="a", type=9, integers=[1])]), {},
                     ["'a'", "type"]),
    "cells in the wrong array": ("h", Table(name="t", columns=[
        Column(name="a", type=INTEGER, texts=["x"])]), {}, ["'a'"]),
    "kinds with too few values": ("h", Table(name="t", columns=[
        Column(name="a", type=INTEGER, integers=[1], kinds=bytes([1, 1]))]), {}, ["'a'"]),
    "kinds with too many values": ("h", Table(name="t", columns=[
        Column(name="a", type=INTEGER, integers=[1, 2], kinds=bytes([1]))]), {}, ["'a'"]),
    "a kind that is none": ("h", Table(name="t", columns=[
        Column(name="a", type=INTEGER, integers=[1], kinds=bytes([5]))]), {}, ["'a'"]),
    "a column in another case twice, far apart": ("h", Table(name="t", columns=[
        Column(name=f"c{n}", type=INTEGER, integers=[1]) for n in range(100)] + [
            Column(name="C7", type=INTEGER, integers=[1])]), {}, ["'C7'", "twice"]),
    "column name too long": ("h", tables.table("t", {"a" * 129: (INTEGER, [1])}), {}, ["128"]),
    "empty column name": ("h", tables.table("t", {"": (INTEGER, [1])}), {}, ["name"]),
    "column name of other letters": ("h", tables.table("t", {"gr\u00f6\u00dfe": (INTEGER, [1])}),
                                     {}, ["name"]),
    "identity with a zero byte": ("h\0", tables.table("t", {"a": (INTEGER, [1])}), {},
                                  ["identity"]),
    "kinds ask for values of another array": ("h", Table(name="t", columns=[
        Column(name="a", type=INTEGER, integers=[1], kinds=bytes([3]))]), {}, ["'a'", "integers"]),
    "values beside kinds of NULL alone": ("h", Table(name="t", columns=[
        Column(name="a", type=TEXT, texts=["x"], kinds=bytes([0]))]), {}, ["'a'", "texts"]),
    "two arrays and no kinds": ("h", Table(name="t", columns=[
        Column(name="a", type=TEXT, texts=["x"], integers=[1])]), {}, ["'a'", "integers"]),
    "ragged by kinds": ("h", Table(name="t", columns=[
        Column(name="a", type=INTEGER, integers=[1]),
        Column(name="b", type=INTEGER, kinds=bytes([0, 0]))]), {}, ["'b'", "row"]),
    "an empty column beside one with rows": ("h", Table(name="t", columns=[
        Column(name="a", type=INTEGER, integers=[1]), Column(name="b", type=TEXT)]), {},
        ["'b'", "0 rows"]),
}

T = tables.table("t", {"a": (INTEGER, [1]), "b": (TEXT, ["x"])})
UPDATE = {"update": True}
BAD_OPTIONS = {
    "keycols without update": ({"keycols": ["a"]}, ["'t'", "keycols", "update"]),
    "keycols without update, persist": ({"keycols": ["a"], "persist": True}, ["'t'", "keycols"]),
    "keycols without update, static": ({"keycols": ["a"], "static": True}, ["'t'", "keycols"]),
    "a key that is no column": ({**UPDATE, "keycols": ["a", "c"]}, ["'t'", "'c'"]),
    "a key that is no column, persist": ({**UPDATE, "persist": True, "keycols": ["c"]},
                                         ["'t'", "'c'"]),
    "a key that is empty": ({**UPDATE, "keycols": [""]}, ["'t'", "key"]),
    "a key that is no name": ({**UPDATE, "keycols": ["a;b"]}, ["'t'", "'a;b'"]),
    "a key that is very long": ({**UPDATE, "keycols": ["k" * 1_000_000]}, ["'t'", "key"]),
    "a key twice": ({**UPDATE, "keycols": ["a", "b", "a"]}, ["'t'", "'a'", "twice"]),
    "a key twice in another case": ({**UPDATE, "keycols": ["a", "A"]}, ["'t'", "'A'", "twice"]),
    "rowid as a key": ({**UPDATE, "keycols": ["rowid"]}, ["'t'", "'rowid'"]),
    "static and persist": ({"static": True, "persist": True}, ["'t'", "static", "persist"]),
    "static and update": ({"static": True, **UPDATE}, ["'t'", "static", "update"]),
    "all three": ({"static": True, "persist": True, **UPDATE}, ["'t'", "static"]),
}
OPTIONS = {"plain": {}, "update": UPDATE, "persist": {"persist": True}, "static": {"static": True},
           "update and persist": {**UPDATE, "persist": True}}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("case", sorted(BAD_PUBLISHES))
def test_a_bad_publish_is_refused_with_what_is_wrong(qasino, case, options):
    identity, table, more, words = BAD_PUBLISHES[case]
    code, message = system.code_and_message(
        lambda: qasino.client.publish(identity, table, **OPTIONS[options], **more))
    assert code == "INVALID_ARGUMENT"
    for word in words:
        assert word.lower() in message.lower()
    assert len(message) < 1000


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_are_refused_with_what_is_wrong(qasino, case):
    options, words = BAD_OPTIONS[case]
    code, message = system.code_and_message(lambda: qasino.client.publish("h", T, **options))
    assert code == "INVALID_ARGUMENT"
    for word in words:
        assert word in message
    assert len(message) < 1000


def field(number, value):
    """A length-delimited field, as it is on the wire."""
    return bytes([number << 3 | 2, len(value)]) + value


COLUMN = field(1, b"a") + b"\x10\x03"  # of type TEXT
# Python's own protobuf refuses to make such messages, so their bytes are made by hand.
BAD_BYTES = {
    "a text that is not UTF-8": field(1, b"h") + field(2, field(1, b"t") + field(
        2, COLUMN + field(5, b"\xff"))),
    "a text with a lone surrogate": field(1, b"h") + field(2, field(1, b"t") + field(
        2, COLUMN + field(5, b"\xed\xa0\x80"))),
    "an identity that is not UTF-8": field(1, b"\xc3") + field(2, field(1, b"t") + field(
        2, COLUMN + field(5, b"x"))),
    "a table name that is not UTF-8": field(1, b"h") + field(2, field(1, b"t\xfe") + field(
        2, COLUMN + field(5, b"x"))),
    "a column name that is not UTF-8": field(1, b"h") + field(2, field(1, b"t") + field(
        2, field(1, b"\x80") + b"\x10\x03" + field(5, b"x"))),
    "a key that is not UTF-8": field(1, b"h") + field(2, field(1, b"t") + field(
        2, COLUMN + field(5, b"x"))) + b"\x18\x01" + field(4, b"\xff"),
    "a message that breaks off": (field(1, b"h") + field(2, field(1, b"t") + field(
        2, COLUMN + field(5, b"x"))))[:-1],
    "a length beyond the end": field(1, b"h") + b"\x12\xff\xff\x7f",
    "a number that does not end": field(1, b"h") + b"\x18" + b"\xff" * 12,
    "a group that does not end": field(1, b"h") + b"\x13",
    "bytes that are no message": b"\xff\xff\xff\xff",
    "the field 0": b"\x02\x00",
}


@pytest.mark.parametrize("case", BAD_BYTES)
def test_bytes_that_are_no_publish_are_refused(qasino, case):
    for method, request in (("Publish", BAD_BYTES[case]),
                            ("PublishStream", b"\x0a" + bytes([len(BAD_BYTES[case])])
                             + BAD_BYTES[case])):
        with grpc.insecure_channel(qasino.ingests[0].address("ingest")) as channel:
            call = channel.unary_unary(f"/qasino.v1.Ingest/{method}")
            code, message = system.code_and_message(
                lambda: call(request, timeout=system.DEADLINE))  # pylint: disable=cell-var-from-loop
        assert (code, bool(message)) == ("INVALID_ARGUMENT", True), method


@pytest.mark.parametrize("options", OPTIONS)
def test_a_bad_publish_in_a_stream_is_refused_alone(qasino, options):
    def request(number, table):
        return ingest_pb2.PublishRequest(identity=f"{options}-{number}", table=table,
                                         **OPTIONS[options])

    ragged = Table(name="t", columns=[Column(name="a", type=INTEGER, integers=[1, 2]),
                                      Column(name="b", type=INTEGER, integers=[1])])
    publishes = [request(0, good_table()), request(1, ragged), request(2, good_table()),
                 request(3, tables.table("a b", {"a": (INTEGER, [1])})), request(4, good_table())]
    results = [result for response in qasino.client.ingests[0].PublishStream(
        iter([ingest_pb2.PublishStreamRequest(publishes=publishes)]), timeout=system.DEADLINE)
        for result in response.results]
    assert [result.code for result in results] == [0, 3, 0, 3, 0]
    assert "'t'" in results[1].message and "'a b'" in results[3].message


# What the wire of a publish cannot even say, but a file can.
BAD_FILES = {
    "an integer over 63 bits": ("1\nt\na\nint\n\n9223372036854775808\n", "9223372036854775808"),
    "an integer under 63 bits": ("1\nt\na\nint\n\n-9223372036854775809\n",
                                 "-9223372036854775809"),
    "a real among integers": ("1\nt\na\nint\n\n1.5\n", "1.5"),
    "a row too short": ("1\nt\na,b\nint,int\n,\n1\n", "line 6"),
    "a quote that does not end": ('1\nt\na\nstr\n\n"x\n', "line 6"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_before_it_is_sent(qasino, case):
    text, word = BAD_FILES[case]
    ended = system.run_program(system.PUBLISH_CLIENT, "-p", qasino.ingests[0].port("ingest"),
                               "--identity", "h", stdin=text)
    assert ended.code == 1
    assert word in ended.err


def test_what_looks_bad_and_is_not_is_taken(qasino):
    nan, infinity = float("nan"), float("inf")
    response, answer = qasino.client.publish_and_query("h", tables.table("odd", {
        "r": (REAL, [nan, infinity, -infinity, -0.0]),
        "i": (INTEGER, [2**63 - 1, -2**63, 0, 1]),
        "t": (TEXT, ["\0", "'; DROP TABLE odd; --", "\U0010ffff", "%s%n"])}),
        "SELECT r, i, t FROM odd ORDER BY rowid")
    assert response.generation
    # NaN is stored as NULL, as SQLite does.
    assert answer.rows == [(None, 2**63 - 1, "\0"), (infinity, -2**63, "'; DROP TABLE odd; --"),
                           (-infinity, 0, "\U0010ffff"), (-0.0, 1, "%s%n")]


def test_nothing_of_all_that_was_refused_is_in_a_snapshot(qasino):
    # Whatever was refused above was of these names; `good` and its like were not.
    response, answer = qasino.client.publish_and_query(
        "h", good_table("marker"), "SELECT tablename FROM qasino_server_tables")
    assert response.generation
    names = {name for (name,) in answer.rows if not name.startswith("qasino_server_")}
    assert names <= {"marker", "good", "afterwards", "odd"}
    static = qasino.client.query(
        "SELECT tablename FROM qasino_server_tables WHERE static = 1")
    assert {name for (name,) in static.rows} <= {"good"}


def test_too_many_columns_are_refused(qasino):
    wide = tables.table("wide", {f"c{n}": (INTEGER, [1]) for n in range(40000)})
    code, message = system.code_and_message(lambda: qasino.client.publish("h", wide))
    assert code in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT")
    assert "column" in message


def test_a_message_over_the_limit_is_refused(qasino):
    big = tables.table("big", {"a": (TEXT, ["x" * (80 << 20)])})
    code, _ = system.code_and_message(lambda: qasino.client.publish("h", big))
    assert code == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("part", ["ingest", "store", "query"])
@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\0" * 4096,
    b"\xff" * 65536,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">I", 0xffffff04)[1:] + b"\x04" * 6,
], ids=["http1", "zeros", "ones", "bad-frame", "huge-settings"])
def test_garbage_bytes_on_a_grpc_port_close_that_connection_alone(qasino, part, garbage):
    program = {"ingest": qasino.ingests[0], "store": qasino.store, "query": qasino.query}[part]
    with socket.create_connection(("127.0.0.1", program.port(part)), system.DEADLINE) as peer:
        try:
            peer.sendall(garbage)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass
        except OSError:
            pass  # As good as an end.


@pytest.mark.parametrize("service, method", [
    ("Ingest", "Publish"), ("Query", "Query")])
def test_bytes_that_are_no_message_are_refused(qasino, service, method):
    program, part = {"Ingest": (qasino.ingests[0], "ingest"),
                     "Query": (qasino.query, "query")}[service]
    with grpc.insecure_channel(program.address(part)) as channel:
        call = channel.unary_unary(f"/qasino.v1.{service}/{method}")
        code, message = system.code_and_message(
            lambda: call(b"\xff\xff\xff\xff", timeout=system.DEADLINE))
    assert (code, bool(message)) == ("INVALID_ARGUMENT", True)


def test_bytes_that_are_no_message_are_refused_by_the_store_too(qasino):
    with grpc.insecure_channel(qasino.store.address("store")) as channel:
        call = channel.unary_unary("/qasino.v1.SnapshotStore/GetManifest")
        code, _ = system.code_and_message(
            lambda: call(b"\xff\xff\xff\xff", timeout=system.DEADLINE))
    # Only Qasino's own processes speak to it; gRPC's parsing answers with the latter.
    assert code in ("INVALID_ARGUMENT", "UNIMPLEMENTED")


def test_a_method_that_does_not_exist_is_unimplemented(qasino):
    with grpc.insecure_channel(qasino.query.address("query")) as channel:
        call = channel.unary_unary("/qasino.v1.Query/Nothing")
        code, _ = system.code_and_message(lambda: call(b"", timeout=system.DEADLINE))
    assert code == "UNIMPLEMENTED"


# statement: codes that are right
BAD_SQL = {
    "": {"INVALID_ARGUMENT"},
    ";": {"INVALID_ARGUMENT"},
    "-- nothing": {"INVALID_ARGUMENT"},
    "SELEC 1": {"INVALID_ARGUMENT"},
    "SELECT": {"INVALID_ARGUMENT"},
    "SELECT 'open": {"INVALID_ARGUMENT"},
    "SELECT * FROM nowhere": {"INVALID_ARGUMENT"},
    "SELECT nothing": {"INVALID_ARGUMENT"},
    "SELECT 1; SELECT 2": {"INVALID_ARGUMENT"},
    "SELECT 1; DROP TABLE x": {"INVALID_ARGUMENT"},
    "DESC nowhere": {"INVALID_ARGUMENT", "NOT_FOUND"},
    "SHOW NOTHING": {"INVALID_ARGUMENT"},
    "CREATE TABLE x (a)": {"PERMISSION_DENIED"},
    "CREATE TEMP TABLE x (a)": {"PERMISSION_DENIED"},
    "INSERT INTO qasino_server_info VALUES (1, 2, 3)": {"PERMISSION_DENIED", "INVALID_ARGUMENT"},
    "DELETE FROM qasino_server_info": {"PERMISSION_DENIED", "INVALID_ARGUMENT"},
    "UPDATE qasino_server_info SET generation_number = 0": {"PERMISSION_DENIED",
                                                            "INVALID_ARGUMENT"},
    "DROP TABLE qasino_server_info": {"PERMISSION_DENIED", "INVALID_ARGUMENT"},
    "WITH x AS (SELECT 1) DELETE FROM qasino_server_info": {"PERMISSION_DENIED",
                                                            "INVALID_ARGUMENT"},
    "ATTACH DATABASE '/etc/passwd' AS p": {"PERMISSION_DENIED"},
    "ATTACH ':memory:' AS p": {"PERMISSION_DENIED"},
    "DETACH main": {"PERMISSION_DENIED"},
    "PRAGMA journal_mode = DELETE": {"PERMISSION_DENIED"},
    "PRAGMA writable_schema = 1": {"PERMISSION_DENIED"},
    "PRAGMA cache_size = -1000000000": {"PERMISSION_DENIED"},
    "PRAGMA temp_store_directory = '/tmp'": {"PERMISSION_DENIED"},
    "VACUUM": {"PERMISSION_DENIED"},
    "VACUUM INTO '/tmp/qasino_must_not_exist'": {"PERMISSION_DENIED"},
    "BEGIN": {"PERMISSION_DENIED"},
    "COMMIT": {"PERMISSION_DENIED"},
    "SAVEPOINT a": {"PERMISSION_DENIED"},
    "REINDEX": {"PERMISSION_DENIED"},
    "ANALYZE": {"PERMISSION_DENIED"},
    "SELECT load_extension('/tmp/x')": {"PERMISSION_DENIED", "INVALID_ARGUMENT"},
    "SELECT readfile('/etc/passwd')": {"PERMISSION_DENIED", "INVALID_ARGUMENT"},
    "SELECT writefile('/tmp/qasino_must_not_exist', 'x')": {"PERMISSION_DENIED",
                                                            "INVALID_ARGUMENT"},
    "SELECT fts3_tokenizer('a', 1)": {"PERMISSION_DENIED", "INVALID_ARGUMENT"},
}


@pytest.mark.parametrize("sql", sorted(BAD_SQL))
def test_sql_that_is_wrong_or_does_more_than_read_is_refused(qasino, sql):
    code, message = system.code_and_message(lambda: qasino.client.query(sql))
    assert code in BAD_SQL[sql], message
    assert message


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_an_endless_statement_is_ended_by_the_query_timeout(qasino):
    code, message = system.code_and_message(lambda: qasino.client.query(ENDLESS))
    assert code == "DEADLINE_EXCEEDED"
    assert "2" in message  # It names the limit.


def test_the_calls_own_deadline_ends_a_statement_sooner(qasino):
    code, _ = system.code_and_message(lambda: qasino.client.query(ENDLESS, timeout=0.3))
    assert code == "DEADLINE_EXCEEDED"


def test_more_rows_than_max_rows_are_an_error_after_the_rows_that_are_allowed(qasino):
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) SELECT i FROM n"
    assert len(qasino.client.query(sql.format(1000)).rows) == 1000
    rows = 0
    try:
        for response in qasino.client.query_stub.Query(
                query_pb2.QueryRequest(sql=sql.format(1001)), timeout=system.DEADLINE):
            rows += response.batch.rows
        raise AssertionError("the answer ended well")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1000" in error.details()
    assert rows <= 1000


def test_a_huge_statement_is_refused(qasino):
    code, _ = system.code_and_message(
        lambda: qasino.client.query("SELECT '" + "x" * (20 << 20) + "'"))
    assert code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")


def test_a_deeply_nested_statement_is_refused(qasino):
    code, _ = system.code_and_message(
        lambda: qasino.client.query("SELECT " + "(" * 100000 + "1" + ")" * 100000))
    assert code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize("sql", [
    "SELECT length(zeroblob(2000000000))",
    "SELECT replace(hex(zeroblob(100000000)), '0', hex(zeroblob(10000)))",
    "SELECT group_concat(hex(zeroblob(1000000))) FROM (WITH RECURSIVE n(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) SELECT i FROM n)",
])
def test_a_statement_that_wants_much_memory_ends_in_an_error(qasino, sql):
    code, message = system.code_and_message(lambda: qasino.client.query(sql))
    assert code in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED"), message


def test_a_generation_that_is_not_held_is_not_found(qasino):
    code, _ = system.code_and_message(lambda: qasino.client.query("SELECT 1", generation=1))
    assert code in ("NOT_FOUND", "UNIMPLEMENTED")


def test_a_shard_with_bytes_that_differ_from_its_info_is_refused(qasino):
    info = snapshot_pb2.ShardInfo(
        shard_id="bad-shard", generation=qasino.client.generation() + 1, kind="COLLECTED",
        format="SQLITE3", size_bytes=4, xxh3=1, ingest_id="bad", identity="bad")
    info.duration.seconds = 1
    requests = [snapshot_pb2.PutShardRequest(info=info),
                snapshot_pb2.PutShardRequest(chunk=snapshot_pb2.ShardChunk(data=b"abcd"))]
    code, message = system.code_and_message(
        lambda: qasino.client.store.PutShard(iter(requests), timeout=system.DEADLINE))
    assert code in ("DATA_LOSS", "INVALID_ARGUMENT"), message


def test_a_shard_named_as_a_path_is_refused(qasino):
    info = snapshot_pb2.ShardInfo(
        shard_id="../../escape", generation=qasino.client.generation() + 1, kind="COLLECTED",
        format="SQLITE3", size_bytes=0, ingest_id="bad", identity="bad")
    info.duration.seconds = 1
    code, message = system.code_and_message(
        lambda: qasino.client.store.PutShard(
            iter([snapshot_pb2.PutShardRequest(info=info)]), timeout=system.DEADLINE))
    assert code == "INVALID_ARGUMENT"
    assert "shard_id" in message or "name" in message


def test_a_put_without_info_is_refused(qasino):
    requests = [snapshot_pb2.PutShardRequest(chunk=snapshot_pb2.ShardChunk(data=b"abcd"))]
    code, _ = system.code_and_message(
        lambda: qasino.client.store.PutShard(iter(requests), timeout=system.DEADLINE))
    assert code == "INVALID_ARGUMENT"


def test_a_publish_stream_that_breaks_off_harms_no_other(qasino):
    def requests():
        yield ingest_pb2.PublishStreamRequest(
            publishes=[ingest_pb2.PublishRequest(identity="h", table=good_table("broken_off"))])
        raise RuntimeError("the client dies")

    with pytest.raises(grpc.RpcError):
        list(qasino.client.ingests[0].PublishStream(requests(), timeout=system.DEADLINE))
