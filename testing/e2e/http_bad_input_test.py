"""What is malformed gets a clear answer or a closed connection from the HTTP door, and the next
request is answered."""

import gzip
import itertools
import json
import random
import re
import socket

import pytest

from testing.e2e import doors, system
from testing.e2e.bad_messages import (  # pylint: disable=unused-import
    LIMITS, OTHERS, Cases, broken_messages, exchange, is_error, nothing_was_stored,
    table_fixture, wrong_tables)
from testing.e2e.door_clients import HttpDoor, quoted

FLAGS = {"doors": {"http": {}}, **LIMITS}


@pytest.fixture(name="http_cases")
def http_cases_fixture(qasino):
    client = HttpDoor(qasino)

    def good():
        response = client.request("GET", "/request?op=query&sql=select+a+from+t")
        assert response.status == 200 and b'"rows":[["1"]]' in response.body

    yield Cases(good)
    client.close()


def http_fault(answer):
    """None when it is nothing, or HTTP with an error in it; else what is wrong."""
    if not answer:
        return None
    match = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    if not match:
        return f"answered {answer[:100]!r}"
    status = int(match.group(1))
    body = answer.partition(b"\r\n\r\n")[2]
    if status >= 400:
        return None
    if status == 200 and b'"response_op":"error"' in body:
        return None
    return f"answered {answer[:300]!r}"


REQUEST = "GET /request?op=query&sql=select+1 HTTP/1.1\r\nHost: x\r\n"
POST = "POST /request?op=query HTTP/1.1\r\nHost: x\r\n"
GOOD_BODY = '{"sql":"select 1"}'


def bad_requests():
    """(name, bytes) of what is no request, or half of one."""
    whole = REQUEST + "\r\n"
    for at in range(0, len(whole) - 1):
        yield f"ended after {at} bytes", whole[:at]
    for at in range(0, len(REQUEST), 3):
        yield f"a zero byte at {at}", whole[:at] + "\0" + whole[at + 1:]
    yield "nothing but ends of lines", "\r\n" * 50_000
    yield "no request at all", "hello\r\n\r\n"
    yield "another protocol's version", "GET / HTTP/3.7\r\nHost: x\r\n\r\n"
    yield "no version", "GET /request?op=query&sql=select+1\r\n\r\n"
    yield "HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "TLS on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500
    yield "a method of other characters", "G(T / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "a long method", "G" * 100_000 + " / HTTP/1.1\r\n\r\n"
    yield "a long target", "GET /" + "a" * 1_000_000 + " HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "a target without end", "GET /" + "a" * 5_000_000
    yield "a long header", REQUEST + "X: " + "y" * 1_000_000 + "\r\n\r\n"
    yield "a header without end", REQUEST + "X: " + "y" * 5_000_000
    yield "many headers", REQUEST + "".join(f"X-{n}: y\r\n" for n in range(20_000)) + "\r\n"
    yield "a header without a name", REQUEST + ": x\r\n\r\n"
    yield "a header without a colon", REQUEST + "nonsense\r\n\r\n"
    yield "a header's name with a blank", REQUEST + "A B: x\r\n\r\n"
    yield "a header with a control character", REQUEST + "A: \x01\x02\r\n\r\n"
    for length in ("-1", "x", "1e3", "0x10", "99999999999999999999999", "1 1", "", "+1"):
        yield f"Content-Length: {length}", POST + f"Content-Length: {length}\r\n\r\n{GOOD_BODY}"
    yield "two lengths", POST + "Content-Length: 5\r\nContent-Length: 18\r\n\r\n" + GOOD_BODY
    yield "a length and chunks", POST + (
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n0\r\n\r\n")
    yield "a length that is too large", POST + "Content-Length: 999999999999\r\n\r\n{}"
    yield "a body cut short", POST + f"Content-Length: 1000\r\n\r\n{GOOD_BODY}"
    yield "an encoding of transfer that is none", POST + "Transfer-Encoding: magic\r\n\r\n{}"
    for size in ("x", "-1", "fffffffffffffffffff", "", " ", "0x2", "12345678901234567890"):
        yield f"a chunk of size {size}", POST + (
            f"Transfer-Encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n")
    yield "a chunk that is longer than it says", POST + (
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}{}\r\n0\r\n\r\n")
    yield "a chunk with a long extension", POST + (
        "Transfer-Encoding: chunked\r\n\r\n2;" + "x" * 1_000_000 + "\r\n{}\r\n0\r\n\r\n")
    yield "chunks without the last", POST + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    yield "a long trailer", POST + (
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: " + "y" * 1_000_000 + "\r\n\r\n")
    for encoding in ("gzip, gzip", "deflate", "br", "x"):
        yield f"Content-Encoding: {encoding}", POST + (
            f"Content-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\n{{}}")
    packed = gzip.compress(b"{}" * 100)
    for at in range(0, len(packed), 3):
        head = POST + f"Content-Encoding: gzip\r\nContent-Length: {at}\r\n\r\n"
        yield f"gzip cut at {at}", head.encode() + packed[:at]
    yield "an expectation and half a body", POST + (
        "Expect: 100-continue\r\nContent-Length: 50\r\n\r\n{}")
    for _ in range(20):
        yield "random bytes", random.Random(7).randbytes(2000)


def test_http_requests_that_are_none(qasino, http_cases):
    port = qasino.door("http")
    for name, data in bad_requests():
        data = data if isinstance(data, bytes) else data.encode("latin-1")
        http_cases(name, lambda d=data: http_fault(exchange(port, d)))
    http_cases.end(100)


TARGETS = [f"op=query&sql={sql}" for sql in (
    "%", "%4", "%zz", "select+%", "select+%8", "%u0041", "select+1%00", "%00", "%ff%fe", "%c3%28",
    "%ed%a0%80", "%f8%88%80%80%80", "%%%%", "select%", "%+1", "select+'%c3'")] + [
    "op=%", "%=query", "op=query&%zz=1", "op=query&sql=" + "%" * 5000, "op=query&sql" + "=" * 3000,
    "&" * 3000, "=" * 3000, ";" * 3000, "?" * 3000, "op=query&sql=" + "%61" * 3000,
    "&".join(f"p{n}=1" for n in range(1000)), "op=name_value_update&name=%ff.a&value=1",
    "op=name_value_update&name=bad.a&value=%ff", "op=name_value_update&name=bad.a&value=%00",
    "op=name_value_update&name=bad.a&value=1&identity=%0a",
    "op=name_value_update&name=" + "b" * 5000 + ".a&value=1",
    "op=name_value_update&name=bad." + "a" * 5000 + "&value=1", "op=" + "x" * 8000,
    "op=query&format=nonsense", "op=query&format=%00&sql=%00", "op=query&sql=" + "(" * 5000,
    "op=query&sql=" + quoted("select " + "(" * 2000 + "1" + ")" * 2000),
    "op=query&sql=" + quoted("select " + "+".join("1" * 3000)),
]


def test_http_targets_that_are_wrong(qasino, http_cases):
    port = qasino.door("http")
    for target in TARGETS:
        data = f"GET /request?{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        http_cases(target[:50], lambda d=data: http_fault(exchange(port, d)))
    http_cases.end(35)


def test_http_bodies_that_are_no_json(qasino, http_cases):
    client = HttpDoor(qasino)

    def fault(op, text):
        response = client.request("POST", f"/request?op={op}", text)
        assert response.status in (200, 400, 413), response
        return is_error(response.body)

    for name, text in broken_messages():
        http_cases(f"a table, {name}", lambda t=text: fault("add_table_data", t))
    for name, text in itertools.islice(broken_messages(), 0, None, 5):
        http_cases(f"a query, {name}", lambda t=text: fault("query", t))
    http_cases.end(500)
    client.close()


def test_http_tables_with_wrong_types_in_every_key(qasino, http_cases):
    client = HttpDoor(qasino)
    for name, text in wrong_tables():
        http_cases(name, lambda t=text: is_error(
            client.request("POST", "/request?op=add_table_data", t).body))
    for value in OTHERS:
        http_cases(f"sql: {value!r:.20}", lambda v=value: is_error(
            client.request("POST", "/request?op=query", json.dumps({"sql": v})).body))
    http_cases.end(120)
    client.close()


def test_http_csv_that_is_wrong(qasino, http_cases):
    client = HttpDoor(qasino)
    good = b'1,identity=h1,static=x\nbad\na,b\nint,none\nd,d\n1,"x\n'
    texts = [good[:at] for at in range(len(good))]
    texts += [good[:at] + b"\xff" + good[at:] for at in range(len(good))]
    texts += [b"1,identity=h\nbad\n" + b"a," * 5000 + b"\n" + b"int," * 5000 + b"\n\n",
              b",\n" * 100_000, b'"' * 100_001, b"\0" * 1000, b"1,identity=h\nbad\na\nint\nd\n"
              + b"9" * 1_000_000 + b"\n"]
    for n, text in enumerate(texts):
        http_cases(f"text {n}", lambda t=text: is_error(
            client.request("POST", "/request?op=add_csv_table_data", t).body))
    http_cases.end(100)
    client.close()


def test_http_a_body_without_end_is_refused(qasino, http_cases):
    port = qasino.door("http")
    program = qasino.doors["http"]
    before, _ = doors.resident(program)
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for op in ("query", "add_table_data", "add_csv_table_data"):
        head = f"POST /request?op={op} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = itertools.chain([head.encode()], itertools.repeat(piece, 1600))  # 100 MB
        http_cases(op, lambda b=body: http_fault(exchange(port, b)))
    text = b"1fff0\r\n" + b"x" * 0x1fff0 + b"\r\n"
    body = itertools.chain([POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n",
                            b'8\r\n{"sql":"\r\n'], itertools.repeat(text, 800))
    http_cases("a text without end", lambda: http_fault(exchange(port, body)))
    http_cases.end(4)
    _, most = doors.resident(program)
    if program is not qasino.query and not doors.SANITIZED:
        assert most - before < 128 << 20


def test_http_slow_senders_hold_up_nobody(qasino, http_cases):
    port = qasino.door("http")
    pieces = [text.encode() for text in (
        "", "G", REQUEST[:30], REQUEST, POST + "Content-Length: 100\r\n\r\n{",
        POST + "Transfer-Encoding: chunked\r\n\r\n5")]
    slow = []
    for n in range(120):
        connection = socket.create_connection(("127.0.0.1", port), system.DEADLINE)
        connection.sendall(pieces[n % len(pieces)])
        slow.append(connection)
        http_cases(f"the {n}th slow sender", lambda: None)
    for n, connection in enumerate(slow):
        if n % 2:
            connection.shutdown(socket.SHUT_WR)  # Half-closed.
            http_cases(f"the {n}th, half-closed", lambda c=connection: http_fault(c.recv(65536)))
        connection.close()
    http_cases.end(120)


def test_http_clients_that_do_not_read_hold_up_nobody(qasino, http_cases):
    port = qasino.door("http")
    sql = quoted("with recursive n(i) as (select 1 union all select i + 1 from n limit 20000) "
                 "select i, hex(zeroblob(100)) from n")
    many = (f"GET /request?op=query&sql={sql} HTTP/1.1\r\nHost: x\r\n\r\n" * 20).encode()
    deaf = []
    for n in range(20):
        connection = socket.create_connection(("127.0.0.1", port), system.DEADLINE)
        connection.sendall(many)
        deaf.append(connection)
        http_cases(f"the {n}th", lambda: None)
    for connection in deaf:
        connection.close()
    http_cases.end(20)
