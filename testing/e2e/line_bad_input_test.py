"""What is malformed gets a clear answer or a closed connection from the line door, and the next
statement is answered."""

import itertools
import random
import re
import socket

import pytest

from testing.e2e import doors, system
from testing.e2e.bad_messages import (  # pylint: disable=unused-import
    LIMITS, Cases, exchange, nothing_was_stored, table_fixture)
from testing.e2e.door_clients import LineDoor

FLAGS = {"doors": {"line": {}}, **LIMITS}


@pytest.fixture(name="line_cases")
def line_cases_fixture(qasino):
    client = LineDoor(qasino)

    def good():
        assert client.ask("select a from t").rows == [["1"]]

    yield Cases(good)
    client.close()


def line_fault(answer):
    """None when it is nothing, errors, results, and a goodbye; else what is wrong."""
    if answer and not answer.endswith(b"\r\n"):
        return f"ends with {answer[-100:]!r}"
    try:
        text = answer.decode()
    except UnicodeDecodeError:
        return f"no UTF-8: {answer[:100]!r}"
    if answer and not re.search(r"^(SQL error: .+|ERROR: .+|Bye!|\d+ rows returned)\r$", text,
                                re.MULTILINE):
        return f"answered {answer[:200]!r}"
    return None


def bad_lines():
    """(name, bytes)."""
    for byte in range(256):
        yield f"the byte {byte}", bytes([byte]) + b"\r\nselect 1;\r\n"
        yield f"the byte {byte} within", b"select '" + bytes([byte]) + b"' as a;\r\n"
        yield f"IAC {byte}", b"\xff" + bytes([byte]) + b"x;\r\n"
    for command in (b"\xfa", b"\xfb", b"\xfd"):
        yield "a command cut short", b"select 1;\r\n\xff" + command
    yield "a subnegotiation without end", b"\xff\xfa" + b"x" * 2_000_000
    yield "many commands", b"\xff\xfd\x01" * 300_000 + b"select 1;\r\n"
    for text in (b"'", b'"', b"`", b"[", b"/*", b"select '", b"select 1 /* ;", b"create trigger x "
                 b"begin select 1;", b"explain create temp trigger"):
        yield f"left open: {text!r}", text + b";\r\n" * 3
    yield "many ends of statements", b";" * 5000 + b"\r\n"
    yield "many empty lines", b"\r\n" * 200_000
    yield "many errors", b"x;\r\n" * 2000
    yield "many errors on a line", b"x;" * 2000 + b"\r\n"
    yield "many brackets", b"select " + b"(" * 50_000 + b";\r\n"
    yield "many lines", b"select\r\n" + b"1 +\r\n" * 10_000 + b"1;\r\n"
    yield "zero bytes", b"\0" * 100_000 + b";\r\n"
    yield "a zero byte in a statement", b"select 1\0 as a;\r\nselect 2;\r\n"
    yield "a long statement", b"select '" + b"x" * 1_000_000 + b"' as a;\r\nselect 1;\r\n"
    yield "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500
    yield "Latin-1", "select 'é' as a;\r\n".encode("latin-1")
    yield "UTF-16", "select 1;\r\n".encode("utf-16")
    yield "ends that are CR alone", b"select 1;\rselect 2;\r"
    yield "a statement without end", b"select 1"
    chance = random.Random(11)
    for _ in range(30):
        yield "random bytes", chance.randbytes(3000)


def test_line_input_that_is_none(qasino, line_cases):
    port = qasino.door("line")
    for name, data in bad_lines():
        line_cases(name, lambda d=data: line_fault(exchange(port, d)))
    line_cases.end(700)


def test_line_a_line_without_end_takes_no_memory(qasino, line_cases):
    port = qasino.door("line")
    program = qasino.doors["line"]
    before, _ = doors.resident(program)
    for name, text, megabytes in (
            ("letters", b"x", 100), ("a string", b"'", 8), ("words", b"select ", 8),
            ("a blank", b" ", 8), ("negotiation", b"\xff\xff", 8), ("a comment", b"--", 8),
            ("newlines", b"x\n", 8)):
        piece = text * ((1 << 20) // len(text))
        data = itertools.chain([b"select "], itertools.repeat(piece, megabytes))
        line_cases(name, lambda d=data: line_fault(exchange(port, d)))
    line_cases.end(7)
    _, most = doors.resident(program)
    if program is not qasino.query and not doors.SANITIZED:
        assert most - before < 64 << 20


def test_line_clients_that_do_not_read_hold_up_nobody(qasino, line_cases):
    deaf = []
    for n in range(20):
        connection = socket.create_connection(("127.0.0.1", qasino.door("line")), system.DEADLINE)
        connection.sendall(b"with recursive n(i) as (select 1 union all select i + 1 from n "
                           b"limit 20000) select i, hex(zeroblob(100)) from n;\r\n" * 50)
        deaf.append(connection)
        line_cases(f"the {n}th", lambda: None)
    for connection in deaf:
        connection.close()
    line_cases.end(20)


def test_line_half_closed_and_abandoned_connections_hold_up_nobody(qasino, line_cases):
    port = qasino.door("line")
    for n in range(100):
        connection = socket.create_connection(("127.0.0.1", port), system.DEADLINE)
        connection.sendall(b"select 1;\r\nselect '"[:n % 20])
        if n % 3 == 0:
            connection.shutdown(socket.SHUT_WR)
        if n % 3 == 1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        line_cases(f"the {n}th", lambda: None)
    line_cases.end(100)
