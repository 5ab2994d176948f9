"""The line door, asked by telnet as people do, and by sockets that write what telnet would not."""

import re
import socket
import subprocess
import threading

import pytest

from testing.e2e import doors, system, tables
from testing.e2e.door_clients import LineDoor, read_text
from testing.e2e.tables import INTEGER, TEXT

FLAGS = {"doors": {"line": {}}, "store": {"--retain": 100},
         "query": {"--query-timeout": "20s", "--max-rows": 150_000}}

ANSWER = b"name   n\r\n====  ==\r\n   x  12\r\n1 rows returned\r\n"


@pytest.fixture(name="table", scope="module")
def table_fixture(qasino):
    qasino.client.publish("h1", tables.table("t", {
        "name": (TEXT, ["x"]), "n": (INTEGER, [12])}), static=True)
    qasino.client.query_until("SELECT * FROM t")


@pytest.fixture(name="line")
def line_fixture(qasino, table):  # pylint: disable=unused-argument
    client = LineDoor(qasino)
    yield client
    client.close()


class Telnet:
    """The program, as at a terminal that is a pipe."""

    def __init__(self, port):
        self._process = subprocess.Popen(["telnet", "127.0.0.1", str(port)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._timer = threading.Timer(system.DEADLINE, self._process.kill)
        self._timer.start()
        self.until(b"Escape character is '^]'.\n")

    def type(self, text):
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def until(self, end):
        """What it shows next, up to `end`."""
        seen = b""
        while not seen.endswith(end):
            byte = self._process.stdout.read(1)
            assert byte, f"telnet ended after {seen!r}"
            seen += byte
        return seen

    def rest(self):
        """What it shows until the connection is closed."""
        shown = self._process.stdout.read()
        self._process.wait(system.DEADLINE)
        return shown

    def close(self):
        self._timer.cancel()
        self._process.kill()
        self._process.communicate()


@pytest.fixture(name="telnet")
def telnet_fixture(qasino, table):  # pylint: disable=unused-argument
    program = Telnet(qasino.door("line"))
    yield program
    program.close()


# telnet ends lines as a terminal that is a pipe does.
SHOWN = ANSWER.replace(b"\r\n", b"\n")


def test_telnet_asks_and_says_goodbye(telnet):
    telnet.type(b"select name, n from t;\n")
    assert telnet.until(b"returned\n") == SHOWN
    telnet.type(b"select\n  name,\n n from t\n;\n")
    assert telnet.until(b"returned\n") == SHOWN
    telnet.type(b"select * from nowhere;\n")
    assert telnet.until(b"\n") == b"SQL error: no such table: nowhere\n"
    telnet.type(b"show tables like 't';\ndesc t;\n")
    assert b"last_update_datetime" in telnet.until(b"returned\n")
    assert b"column_type" in telnet.until(b"returned\n")
    telnet.type(b"quit;\n")
    rest = telnet.rest()
    assert rest.startswith(b"Bye!\n")
    assert b"closed by foreign host" in rest


def test_there_is_no_greeting_and_no_prompt(line):
    line.send(b"select name, n from t;\r\n")
    assert line.answer().replace("\n", "\r\n").encode() == ANSWER
    line.send(b"quit;\r\n")
    assert line.rest() == b"Bye!\r\n"


@pytest.mark.parametrize("data, count", [
    (b"select name, n from t;\r\n", 1),
    (b"select name, n from t;\n", 1),
    (b"SELECT name, n FROM t ; \r\n", 1),
    (b"select name,\r\nn\r\nfrom t\r\n;\r\n", 1),
    (b"\r\n\r\n  \r\nselect name, n from t;\r\n", 1),
    (b"select name, n from t; select name, n from t;\r\n", 2),
    (b"select name, n from t;select name,\r\nn from t;select name, n from t;\r\n", 3),
    (b"select name, n from t;\r\nselect name, n from t;\r\n", 2),
    (b"select name, n from t -- ; \r\n;\r\n", 1),
    (b"select name, n /* ; */ from t;\r\n", 1),
    (b"select name, n from t where name <> ';';\r\n", 1),
    (b"select name, n from t where name <> '\r\n;\r\n';\r\n", 1),
    (b"select name, n from t;\r\n" * 200, 200),
])
@pytest.mark.parametrize("piece", [1, 5, 1 << 20])
def test_statements_however_they_are_cut(line, data, count, piece):
    for at in range(0, len(data), piece):
        line.send(data[at:at + piece])
    line.send(b"quit;\r\n")
    assert line.rest() == ANSWER * count + b"Bye!\r\n"


def test_pipelined_statements_are_answered_in_order(line):
    slow = ("with recursive n(i) as (select 1 union all select i + 1 from n limit 200000) "
            "select count(*) as n from n;")
    line.send("".join(slow if n % 5 == 0 else f"select {n} as n;" for n in range(30)).encode()
              + b"\r\n")
    for n in range(30):
        assert read_text(line.answer()).rows == [["200000" if n % 5 == 0 else str(n)]]


def test_rows_that_are_none(line):
    line.send(b"select name, n from t where 0;\r\n")
    assert line.answer() == "name  n\n====  =\n0 rows returned\n"


def test_wide_text(line):
    line.send("select 'é€' as a, '日本' as b, null as c;\r\n".encode())
    assert line.answer() == " a     b  c\n==  ====  =\né€  日本   \n1 rows returned\n"


ERRORS = {
    "select * from nowhere;": "SQL error: no such table: nowhere",
    "selekt 1;": "",
    "drop table t;": "ERROR: Unrecognized statement: drop table t",
    "desc nowhere;": "SQL error: ",
    "select 1 +;": "SQL error: ",
    "select abs(-9223372036854775807 - 1);": "SQL error: integer overflow",
}


@pytest.mark.parametrize("sql", ERRORS)
def test_errors(line, sql):
    line.send(sql.encode() + b"\r\n")
    message = line.line()
    assert ERRORS[sql] in message
    assert message.startswith(("SQL error: ", "ERROR: "))
    line.send(b"select name, n from t;quit;\r\n")
    assert line.rest() == ANSWER + b"Bye!\r\n"


@pytest.mark.parametrize("data", [b"\x03\r\n", b"\x04\r\n", b" \x04 \r\n", b"\x04\n", b"quit;\r\n",
                                  b"exit;\r\n", b"logout;\r\n", b"QUIT ;\r\n", b"\r\n\x03\r\n"])
def test_goodbye(line, data):
    line.send(data)
    assert line.rest() == b"Bye!\r\n"


def test_goodbye_by_an_interrupt_as_telnet_sends_it(line):
    # It asks for a timing mark behind it, and may get one.
    line.send(b"\xff\xf4\xff\xfd\x06\r\n")
    assert line.rest() in (b"Bye!\r\n", b"\xff\xfb\x06Bye!\r\n")


def test_goodbye_waits_for_what_was_asked_before(line):
    line.send(b"select name, n from t;\r\nselect name, n from t;\r\n\x04\r\nselect 1;\r\n")
    assert line.rest() == ANSWER * 2 + b"Bye!\r\n"


def test_control_c_gives_up_what_was_typed_so_far(line):
    line.send(b"select 'never\r\n\x03\r\n")
    assert line.rest() == b"Bye!\r\n"


NEGOTIATION = [b"\xff\xfd\x01", b"\xff\xfb\x1f", b"\xff\xfc\x22", b"\xff\xfe\x05", b"\xff\xf1",
               b"\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0",
               b"\xff\xfa\x18\x00xterm\xff\xff;\r\n\xff\xf0"]


@pytest.mark.parametrize("bytes_", NEGOTIATION)
def test_negotiation_is_passed_over_wherever_it_stands(line, bytes_):
    sql = b"select name, n from t;\r\n"
    data = b"".join(bytes_ + sql[at:at + 6] for at in range(0, len(sql), 6)) + b"quit;\r\n"
    for at in range(0, len(data), 4):
        line.send(data[at:at + 4])
    assert line.rest() == ANSWER + b"Bye!\r\n"


def test_what_was_sent_before_the_client_closed_its_half_is_answered(qasino, table):
    # pylint: disable=unused-argument
    address = ("127.0.0.1", qasino.door("line"))
    with socket.create_connection(address, system.DEADLINE) as connection:
        connection.sendall(b"select name, n from t;\nselect 'incomplete")
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read() == ANSWER


def test_a_long_result(line):
    line.send(b"with recursive n(i) as (select 1 union all select i + 1 from n limit 100000) "
              b"select i, 'row ' || i as name from n;\r\nquit;\r\n")
    text = line.rest().decode()
    assert text.endswith("\r\n100000  row 100000\r\n100000 rows returned\r\nBye!\r\n")
    assert text.count("\r\n") == 100_004


def test_a_result_that_fails_late_ends_with_the_error(line):
    line.send(b"with recursive n(i) as (select 1 union all select i + 1 from n limit 200000) "
              b"select i from n;\r\nquit;\r\n")
    text = line.rest().decode()
    assert "150000" in text.splitlines()[-2] and "rows returned" not in text
    assert re.search(r"(?i)error", text.splitlines()[-2]) and text.endswith("\r\nBye!\r\n")


def test_a_long_result_takes_little_memory_however_slow_its_reader(qasino):
    program = qasino.doors["line"]
    before, _ = doors.resident(program)
    clients = [LineDoor(qasino) for _ in range(8)]
    for client in clients:
        client.send(b"with recursive n(i) as (select 1 union all select i + 1 from n limit 100000) "
                    b"select i, printf('%01000d', i) as wide from n;\r\n")
    for client in clients:
        client.line()  # They read no further.
    other = LineDoor(qasino)
    for n in range(20):
        assert other.ask(f"select {n}").rows == [[str(n)]]
    _, most = doors.resident(program)
    for client in [*clients, other]:
        client.close()
    if program is not qasino.query and not doors.SANITIZED:
        assert most - before < 192 << 20


def test_an_idle_connection_is_closed_but_not_one_that_waits_for_its_answer(start):
    qasino = start({"doors": {"line": {"--line-idle-timeout": "1s"}}})
    idle, busy = LineDoor(qasino), LineDoor(qasino)
    busy.send(b"with recursive n(i) as (select 1 union all select i + 1 from n limit 6000000) "
              b"select count(*) as n from n;\r\n")
    idle.send(b"select 'half of a stat")
    assert b"returned" not in idle.rest()
    assert read_text(busy.answer()).rows == [["6000000"]]
    idle.close()
    busy.close()
