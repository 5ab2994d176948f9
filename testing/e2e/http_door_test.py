"""What the HTTP door makes of HTTP: connections that are kept, pipelines, bodies in chunks, gzip,
HEAD and OPTIONS, conditional requests, results in other formats, results that are long."""

import csv
import gzip
import http.client
import io
import json
import re
import socket
import subprocess
import threading
import zlib

import pytest

from testing.e2e import doors, system, tables
from testing.e2e.door_clients import HttpDoor, curl, quoted
from testing.e2e.tables import BLOB, INTEGER, REAL, TEXT

FLAGS = {"doors": {"http": {}}, "store": {"--retain": 100},
         "query": {"--max-rows": 150_000, "--query-timeout": "50s"}}

NUMBERS = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows}) "
           "SELECT {what} FROM n")


@pytest.fixture(name="url", scope="module")
def url_fixture(qasino):
    qasino.client.publish("h1", tables.table("t", {
        "a": (INTEGER, [1, None]), "b": (TEXT, ["x, \"y\"", ""]), "c": (REAL, [0.5, 2.0]),
        "d": (BLOB, [b"\x00\xff", None])}), static=True)
    qasino.client.query_until("SELECT * FROM t")
    return f"http://127.0.0.1:{qasino.door('http')}/request"


@pytest.fixture(name="door")
def door_fixture(qasino):
    client = HttpDoor(qasino)
    yield client
    client.close()


class Raw:
    """A connection whose bytes a test writes itself."""

    def __init__(self, qasino):
        self.socket = socket.create_connection(("127.0.0.1", qasino.door("http")),
                                               system.DEADLINE)

    def send(self, text):
        self.socket.sendall(text.encode())

    def responses(self, *methods):
        """The next responses, one to each method: (status, headers, body)."""
        file = self.socket.makefile("rb")
        result = []
        for method in methods:
            response = http.client.HTTPResponse(_Unclosed(file), method=method)
            response.begin()
            result.append((response.status, response.headers, response.read()))
        return result

    def ended(self):
        """Waits for the other end to close; whether it did so in order."""
        while self.socket.recv(65536):
            pass
        return True


class _Unclosed:
    """A socket for HTTPResponse that is read through one file, which stays open."""

    def __init__(self, file):
        self._file = file

    def makefile(self, _mode):
        return _Reader(self._file)


class _Reader:
    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def close(self):
        pass


@pytest.fixture(name="raw")
def raw_fixture(qasino):
    connection = Raw(qasino)
    yield connection
    connection.socket.close()


def get(sql, more="", path="/request"):
    return f"GET {path}?op=query&sql={quoted(sql)}{more} HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_connection_is_kept(url):
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{num_connects}\n", *[f"{url}?op=query&sql=select+{n}"
                                                       for n in range(5)]],
        capture_output=True, text=True, timeout=system.DEADLINE, check=True)
    assert re.findall(r"^(\d)$", done.stdout, re.MULTILINE) == ["1", "0", "0", "0", "0"]


def test_a_connection_is_closed_when_the_client_wants_that(raw):
    raw.send(get("select 1").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
    ((status, headers, _),) = raw.responses("GET")
    assert status == 200 and headers["Connection"].lower() == "close"
    assert raw.ended()


def test_http_1_0_is_answered_and_closed(raw):
    raw.send(get("select 1").replace("HTTP/1.1", "HTTP/1.0"))
    ((status, _, body),) = raw.responses("GET")
    assert status == 200 and json.loads(body)["table"]["rows"] == [["1"]]
    assert raw.ended()


def test_http_1_0_gets_a_long_result_without_chunks(raw):
    raw.send(get(NUMBERS.format(rows=100_000, what="i"), "&format=csv").replace(
        "HTTP/1.1", "HTTP/1.0"))
    ((status, headers, body),) = raw.responses("GET")
    assert status == 200 and "Transfer-Encoding" not in headers
    assert body.endswith(b"\r\n100000\r\n") and body.count(b"\r\n") == 100_001


def test_pipelined_requests_are_answered_in_order(raw):
    slow = NUMBERS.format(rows=200_000, what="count(*)")
    statements = [slow if n % 7 == 0 else f"select {n} as n" for n in range(30)]
    post = json.dumps({"sql": "select 'posted' as p"})
    raw.send("".join(get(sql) for sql in statements)
             + f"POST /request?op=query HTTP/1.1\r\nHost: x\r\nContent-Length: {len(post)}\r\n\r\n"
             + post + get("select 'last' as l"))
    answers = raw.responses(*["GET"] * 32)
    rows = [json.loads(body)["table"]["rows"] for _, _, body in answers]
    assert rows == [[["200000" if n % 7 == 0 else str(n)]] for n in range(30)] + [
        [["posted"]], [["last"]]]


def test_a_request_may_come_byte_by_byte(raw):
    raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for character in get("select 1"):
        raw.send(character)
    ((status, _, _),) = raw.responses("GET")
    assert status == 200


def test_what_was_sent_before_the_client_closed_its_half_is_answered(raw):
    raw.send(get("select 1"))
    raw.socket.shutdown(socket.SHUT_WR)
    ((status, _, _),) = raw.responses("GET")
    assert status == 200
    assert raw.ended()


def big_table(name, rows):
    return json.dumps({"identity": "h1", "persist": 1, "table": {
        "tablename": name, "column_names": ["n", "text"], "column_types": ["int", "text"],
        "rows": [[n, "some text that is not so short"] for n in range(rows)]}})


def count_of(qasino, name):
    return qasino.client.query_until(f"SELECT count(*) FROM {name}").rows[0][0]


def test_a_body_in_chunks(qasino, url):
    response = curl(f"{url}?op=add_table_data", "-H", "Transfer-Encoding: chunked", "-d", "@-",
                    stdin=big_table("in_chunks", 5000).encode())
    assert json.loads(response.body)["response_op"] == "ok"
    assert count_of(qasino, "in_chunks") == 5000


def test_chunks_may_be_cut_anywhere(qasino, raw):
    body = big_table("cut_chunks", 30)
    pieces = [body[at:at + 7] for at in range(0, len(body), 7)]
    raw.send("POST /request?op=add_table_data HTTP/1.1\r\nHost: x\r\n"
             "Transfer-Encoding: chunked\r\n\r\n"
             + "".join(f"{len(piece):x};note=1\r\n{piece}\r\n" for piece in pieces)
             + "0\r\nTrailer: y\r\n\r\n" + get("select 1"))
    (_, _, first), (status, _, _) = raw.responses("POST", "GET")
    assert json.loads(first)["response_op"] == "ok" and status == 200
    assert count_of(qasino, "cut_chunks") == 30


def test_a_large_body_is_asked_for_as_curl_expects(qasino, url, tmp_path):
    path = tmp_path / "table.json"
    path.write_text(big_table("expected", 60_000))
    assert path.stat().st_size > 2 << 20  # From 1 MiB on curl sends the header.
    done = subprocess.run(["curl", "-sSv", f"{url}?op=add_table_data", "--data-binary", f"@{path}"],
                          capture_output=True, text=True, timeout=system.DEADLINE, check=True)
    assert "> Expect: 100-continue" in done.stderr and "HTTP/1.1 100 Continue" in done.stderr
    assert json.loads(done.stdout)["response_op"] == "ok"
    assert count_of(qasino, "expected") == 60_000


def test_a_body_too_large_is_refused_before_it_is_sent(raw):
    raw.send("POST /request?op=add_table_data HTTP/1.1\r\nHost: x\r\n"
             "Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n")
    ((status, _, body),) = raw.responses("POST")
    assert status == 413
    assert json.loads(body)["response_op"] == "error"


def test_an_expectation_that_cannot_be_met_is_refused(raw):
    raw.send("POST /request?op=query HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
             "Expect: miracles\r\n\r\n{}")
    ((status, _, _),) = raw.responses("POST")
    assert status in (200, 417)


def test_an_answer_in_gzip(url):
    sql = quoted(NUMBERS.format(rows=3000, what="i"))
    plain = curl(f"{url}?op=query&sql={sql}")
    assert "content-encoding" not in plain.headers
    packed = curl("-H", "Accept-Encoding: gzip", f"{url}?op=query&sql={sql}")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert curl("--compressed", f"{url}?op=query&sql={sql}").body == plain.body
    refused = curl("-H", "Accept-Encoding: gzip;q=0, identity", f"{url}?op=query&sql={sql}")
    assert "content-encoding" not in refused.headers


def test_a_long_answer_in_gzip(url):
    sql = quoted(NUMBERS.format(rows=100_000, what="i"))
    response = curl("-H", "Accept-Encoding: deflate, gzip",
                    f"{url}?op=query&format=ndjson&sql={sql}")
    lines = gzip.decompress(response.body).splitlines()
    assert len(lines) == 100_000 and json.loads(lines[-1]) == {"i": 100_000}


def test_a_body_in_gzip(qasino, url, tmp_path):
    path = tmp_path / "table.json.gz"
    path.write_bytes(gzip.compress(big_table("packed", 20_000).encode()))
    response = curl(f"{url}?op=add_table_data", "-H", "Content-Encoding: gzip", "--data-binary",
                    f"@{path}")
    assert json.loads(response.body)["response_op"] == "ok"
    assert count_of(qasino, "packed") == 20_000


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b'{"sql":"select 1"}')[:-5],
                                  zlib.compress(b"{}"), b""])
def test_a_body_that_is_no_gzip_is_refused(door, body):
    response = door.request("POST", "/request?op=query", body, {"Content-Encoding": "gzip"})
    assert response.status in (200, 400)
    assert json.loads(response.body)["response_op"] == "error"


def test_a_gzip_bomb_is_refused(door):
    bomb = gzip.compress(b'{"sql":"' + b" " * (200 << 20) + b'"}')
    response = door.request("POST", "/request?op=query", bomb, {"Content-Encoding": "gzip"})
    assert response.status == 413
    assert json.loads(response.body)["response_op"] == "error"


def test_an_encoding_that_is_not_known_is_refused(door):
    response = door.request("POST", "/request?op=query", b"{}", {"Content-Encoding": "br"})
    assert response.status == 415
    assert json.loads(response.body)["response_op"] == "error"


def test_head(url):
    response = curl("--head", f"{url}?op=query&sql=select+1")
    assert response.status == 200 and "qasino-generation" in response.headers
    assert curl("--head", url.replace("/request", "/nowhere")).status == 404


def test_head_has_no_body(raw):
    raw.send(get("select 1").replace("GET", "HEAD", 1) + get("select 2 as n"))
    (_, _, nothing), (_, _, body) = raw.responses("HEAD", "GET")
    assert nothing == b"" and json.loads(body)["table"]["rows"] == [["2"]]


def test_options(url):
    response = curl("-X", "OPTIONS", url)
    assert response.status in (200, 204)
    assert {"GET", "HEAD", "POST", "OPTIONS"} <= set(re.split(", *", response.headers["allow"]))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_other_methods_are_not_allowed(url, method):
    response = curl("-X", method, f"{url}?op=query&sql=select+1")
    assert response.status in (405, 501)
    if response.status == 405:
        assert "GET" in response.headers["allow"]
    if method != "TRACE":
        assert json.loads(response.body)["response_op"] == "error"


def test_answers_name_their_generation(qasino, url):
    sql = quoted("SELECT generation_number FROM qasino_server_info")
    response = curl(f"{url}?op=query&sql={sql}")
    assert json.loads(response.body)["table"]["rows"] == [[response.headers["qasino-generation"]]]


def test_an_answer_that_is_known_is_not_sent_again(qasino, url):
    request = f"{url}?op=query&sql={quoted('SELECT * FROM t')}"

    def attempt():
        etag = curl(request).headers["etag"]
        again = curl("-H", f"If-None-Match: {etag}", request)
        # Unless the generation has changed meanwhile.
        if again.status == 304:
            assert again.body == b"" and again.headers["etag"] == etag
            assert "qasino-generation" in again.headers
            other = curl("-H", f"If-None-Match: {etag}", request.replace(quoted("*"), "a"))
            assert other.status == 200 and other.headers["etag"] != etag
            several = curl("-H", f'If-None-Match: "x", {etag}', request)
            csv_answer = curl("-H", f"If-None-Match: {etag}", f"{request}&format=csv")
            assert csv_answer.status == 200 and csv_answer.headers["etag"] != etag
            return etag, several.status
        return None

    etag, _ = system.wait_for(attempt, "304")
    qasino.client.wait_for_generation(qasino.client.generation() + 1)
    response = curl("-H", f"If-None-Match: {etag}", request)
    assert response.status == 200 and response.headers["etag"] != etag and response.body


@pytest.mark.parametrize("sql", ["select random() as r", "select datetime('now') as d"])
def test_an_answer_that_would_differ_has_no_etag(url, sql):
    assert "etag" not in curl(f"{url}?op=query&sql={quoted(sql)}").headers


def test_errors_have_no_etag(url):
    assert "etag" not in curl(f"{url}?op=query&sql=select+nothing").headers


TYPED = [{"a": 1, "b": "x, \"y\"", "c": 0.5, "d": "X'00ff'"},
         {"a": None, "b": "", "c": 2.0, "d": None}]


def kind_of(response):
    return response.headers["content-type"].split(";")[0]


@pytest.mark.parametrize("how", ["&format=ndjson", "application/x-ndjson"])
def test_ndjson_has_typed_values(url, how):
    request = f"{url}?op=query&sql=select+*+from+t"
    response = curl(request + how) if how[0] == "&" else curl("-H", f"Accept: {how}", request)
    assert kind_of(response) == "application/x-ndjson"
    lines = response.body.decode().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows == TYPED
    assert '"c":2.0' in lines[1]


@pytest.mark.parametrize("how", [
    "&format=csv", "text/csv", "text/csv;q=0.9, application/json;q=0.1",
    "text/html;q=0.1, text/csv"])
def test_csv_has_a_header_and_tells_null_from_nothing(url, how):
    request = f"{url}?op=query&sql=select+*+from+t"
    response = curl(request + how) if how[0] == "&" else curl("-H", f"Accept: {how}", request)
    assert kind_of(response) == "text/csv"
    assert response.body == b'a,b,c,d\r\n1,"x, ""y""",0.5,X\'00ff\'\r\n,"",2.0,\r\n'
    assert list(csv.reader(io.StringIO(response.body.decode(), newline=""), strict=True))


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/png", "", "text/*, */*",
                                    "nonsense", ";;;", "text/csv;q=0"])
def test_any_other_accept_gets_the_legacy_json(url, accept):
    response = curl("-H", f"Accept: {accept}".strip(), f"{url}?op=query&sql=select+1")
    assert response.status == 200
    if kind_of(response) != "text/csv":
        assert kind_of(response) in ("application/json", "text/html", "text/plain")


def test_format_beats_accept(url):
    assert kind_of(curl("-H", "Accept: text/csv", f"{url}?op=query&format=json&sql=select+1")) == \
        "application/json"


def test_answers_vary(url):
    vary = curl(f"{url}?op=query&sql=select+1").headers["vary"].lower()
    assert "accept" in re.split(", *", vary) and "accept-encoding" in re.split(", *", vary)


def test_a_post_may_ask_for_another_format(url):
    response = curl(f"{url}?op=query&format=csv", "-d", '{"sql":"select 1 as n"}')
    assert response.body == b"n\r\n1\r\n"
    response = curl("-H", "Accept: application/x-ndjson", f"{url}?op=query", "-d",
                    '{"sql":"select 1 as n"}')
    assert response.body == b'{"n":1}\n'


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_it_says_that_it_lives_and_is_ready(url, path):
    response = curl(url.replace("/request", path))
    assert response.status == 200 and response.body


# Long results.

@pytest.mark.parametrize("form", ["json", "csv", "ndjson", "text", "html"])
def test_a_long_result_is_whole(url, form):
    sql = quoted(NUMBERS.format(rows=100_000, what="i, 'row ' || i as name"))
    response = curl(f"{url}?op=query&format={form}&sql={sql}")
    text = response.body.decode()
    if form == "json":
        answer = json.loads(text)
        assert len(answer["table"]["rows"]) == 100_000
        assert answer["table"]["rows"][-1] == ["100000", "row 100000"]
        assert answer["max_widths"] == {"0": 6, "1": 10}
    elif form == "csv":
        assert text.count("\r\n") == 100_001 and text.endswith("100000,row 100000\r\n")
    elif form == "ndjson":
        assert json.loads(text.splitlines()[-1]) == {"i": 100_000, "name": "row 100000"}
    elif form == "text":
        assert text.endswith("100000  row 100000\n100000 rows returned\n")
    else:
        assert text.count("<tr") == 100_001


FAILS_LATE = NUMBERS.format(
    rows=100_000, what="CASE WHEN i = 90000 THEN abs(-9223372036854775807 - 1) ELSE i END AS i")


def failing(url, form):
    """curl's exit code and what it got of a result that fails after its first bytes."""
    done = subprocess.run(["curl", "-sS", f"{url}?op=query&format={form}&sql={quoted(FAILS_LATE)}"],
                          capture_output=True, text=True, timeout=system.DEADLINE, check=False)
    return done.returncode, done.stdout


def test_a_json_result_that_fails_late_stays_unclosed_and_the_connection_ends(url):
    code, text = failing(url, "json")
    assert code == 18  # The transfer ended early.
    assert text.startswith('{"response_op":"result_table"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_an_ndjson_result_that_fails_late_ends_with_the_error(url):
    code, text = failing(url, "ndjson")
    assert code == 18
    last = json.loads(text.splitlines()[-1])
    assert "integer overflow" in last["error"]["message"] and last["error"]["code"]


@pytest.mark.parametrize("form", ["csv", "text", "html"])
def test_another_result_that_fails_late_ends_with_the_error(url, form):
    code, text = failing(url, form)
    assert code == 18
    assert "integer overflow" in text[-1000:]
    assert "rows returned" not in text
    if form == "csv":
        assert text.splitlines()[-1].startswith("#error")


def test_more_rows_than_allowed_can_be_told_from_a_whole_result(url):
    done = subprocess.run(
        ["curl", "-sS", f"{url}?op=query&format=ndjson&sql="
         + quoted(NUMBERS.format(rows=200_000, what="i"))],
        capture_output=True, text=True, timeout=system.DEADLINE, check=False)
    assert done.returncode == 18
    assert "150000" in json.loads(done.stdout.splitlines()[-1])["error"]["message"]


WIDE = NUMBERS.format(rows=100_000, what="i, printf('%01000d', i) AS wide")  # 100 MB


def test_a_long_result_takes_little_memory_however_slow_its_reader(qasino, url):
    program = qasino.doors["http"]
    before, _ = doors.resident(program)
    readers = [Raw(qasino) for _ in range(8)]
    for reader in readers:
        reader.send(get(WIDE, "&format=ndjson"))
    for reader in readers:
        assert reader.socket.recv(100).startswith(b"HTTP/1.1 200")
    # They read no further. Meanwhile another gets all of it.
    response = curl("-o", "/dev/null", "-w", "%{size_download}",
                    f"{url}?op=query&format=ndjson&sql={quoted(WIDE)}")
    assert int(response.body) > 100_000_000
    _, most = doors.resident(program)
    for reader in readers:
        reader.socket.close()
    if program is not qasino.query and not doors.SANITIZED:
        assert most - before < 128 << 20
    assert curl(f"{url}?op=query&sql=select+1").status == 200


def test_requests_at_the_same_time_do_not_wait_for_each_other(qasino, url):
    slow = threading.Thread(target=lambda: curl("--max-time", "50",
        f"{url}?op=query&sql={quoted(NUMBERS.format(rows=3_000_000, what='count(*)'))}"))
    slow.start()
    for n in range(20):
        answer = json.loads(curl(f"{url}?op=query&sql=select+{n}").body)
        assert answer["table"]["rows"] == [[str(n)]]
    slow.join(system.DEADLINE)
    assert not slow.is_alive()
