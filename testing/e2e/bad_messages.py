"""Messages of the legacy dialect that are wrong, and what tests of malformed input share: many
cases in one test, which names those that failed."""

import http.client
import itertools
import json
import socket

import pytest
import zmq

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER

# Of the FLAGS of each such test: limits that a test can reach.
LIMITS = {"query": {"--query-timeout": "3s", "--max-rows": 20_000}}


@pytest.fixture(name="table", scope="module", autouse=True)
def table_fixture(qasino):
    qasino.client.publish("h1", tables.table("t", {"a": (INTEGER, [1])}), static=True)
    qasino.client.query_until("SELECT * FROM t")


@pytest.fixture(autouse=True)
def nothing_was_stored(qasino):
    yield
    names = qasino.client.query("SELECT tablename FROM qasino_server_tables").column("tablename")
    assert {name for name in names if name.startswith("bad")} == set()


class Cases:
    """Counts cases and keeps what went wrong."""

    def __init__(self, good):
        self._good = good  # Makes a good request on a connection of its own that is kept.
        self.count = 0
        self.faults = []

    def __call__(self, name, check):
        """check(): None, or what is wrong."""
        self.count += 1
        try:
            fault = check()
            self._good()
        except (OSError, AssertionError, ValueError, KeyError, http.client.HTTPException,
                zmq.ZMQError) as error:
            fault = repr(error)
        if fault:
            self.faults.append(f"{name}: {fault}")

    def end(self, least):
        assert not self.faults, "\n".join(self.faults[:20])
        assert self.count >= least


TABLE = {"op": "add_table_data", "identity": "h1", "persist": 1, "update": 0, "keycols": "",
         "table": {"tablename": "bad", "column_names": ["a", "b"], "column_types": ["int", "text"],
                   "rows": [[1, "x\u00e9\\"], [-2.5e3, None]]}}
GOOD_TEXT = json.dumps(
    {**TABLE, "table": {**TABLE["table"], "rows": [[1, "x\u00e9\\"], [2, None]]}})


def broken_messages():
    """(name, text) of messages that are no JSON, as a good one cut or changed at each byte."""
    good = GOOD_TEXT.encode()
    for at in range(len(good)):
        yield f"cut at {at}", good[:at]
        yield f"a zero byte at {at}", good[:at] + b"\0" + good[at + 1:]
        yield f"0xff at {at}", good[:at] + b"\xff" + good[at + 1:]
    yield "more behind it", good + b"{}"
    yield "a comma behind it", good + b","
    for depth in (33, 1000, 100_000):
        yield f"{depth} lists deep", b'{"table":' + b"[" * depth + b"]" * depth + b"}"
        yield f"{depth} lists deep and open", b'{"x":' + b"[" * depth
        yield f"{depth} objects deep", b'{"x":' * depth + b"1" + b"}" * depth
    yield "only lists", b"[" * 1_000_000
    yield "a lone surrogate", b'{"sql":"\\ud800"}'
    yield "a bad escape", b'{"sql":"\\x"}'
    yield "a short escape", b'{"sql":"\\u12"}'
    yield "UTF-16", GOOD_TEXT.encode("utf-16")
    yield "single quotes", b"{'sql':'select 1'}"
    yield "a comment", b'{"sql": /* */ "select 1"}'
    yield "NaN", b'{"sql": NaN}'
    yield "a number with a zero before it", b'{"sql": 01}'


OTHERS = [None, True, False, 0, 1, -1, 1.5, 1e300, "", "text", [], [1], [[]], {}, {"a": 1}, [None],
          "a" * 5000]
# As they are written, because Python would write them otherwise.
NUMBERS = ["1e999", "-1e999", "9223372036854775808", "-9223372036854775809", "1" * 400,
           "0." + "1" * 400, "1e-999", "18446744073709551616"]


def wrong_tables():
    """(name, text) of messages of which a key has a value of a wrong type."""
    keys = [key for key in TABLE if key not in ("op", "persist", "update")]
    for key, value in itertools.product(keys, OTHERS):
        # A number is as good an identity as a text.
        if key == "keycols" or (
                key == "identity" and (value == "text" or type(value) in (int, float))):
            continue
        yield f"{key}: {value!r:.20}", json.dumps({**TABLE, key: value})
    for key, value in itertools.product(TABLE["table"], OTHERS):
        if (key, value) in (("tablename", "text"), ("rows", [])):
            continue
        yield f"table.{key}: {value!r:.20}", json.dumps(
            {**TABLE, "table": {**TABLE["table"], key: value}})
    for key in ("column_names", "column_types"):
        for value in OTHERS:
            yield f"table.{key}[1]: {value!r:.20}", json.dumps(
                {**TABLE, "table": {**TABLE["table"], key: [TABLE["table"][key][0], value],
                                    "rows": [[1], [1, 2, 3]]}})
    for value in ([], {}, [1], {"a": 1}):
        yield f"a cell: {value!r}", json.dumps({**TABLE, "table": {**TABLE["table"],
                                                                   "rows": [[1, value]]}})
    for number in NUMBERS[:5] + NUMBERS[7:]:
        yield f"a cell: {number:.20}", json.dumps(
            {**TABLE, "table": {**TABLE["table"], "rows": [["@", "x"]]}}).replace('"@"', number)
    yield "many columns", json.dumps({**TABLE, "table": {
        "tablename": "bad", "column_names": [f"c{n}" for n in range(10_000)],
        "column_types": ["int"] * 10_000, "rows": []}})


def is_error(text):
    """None when it is an error of the legacy dialect with a message; else what it is."""
    try:
        answer = json.loads(text)
    except ValueError:
        return f"answered {text[:200]!r}"
    if answer.get("response_op") == "error" and answer.get("error_message"):
        if len(answer["error_message"]) > 20_000:
            return f"a message of {len(answer['error_message'])} characters"
        return None
    return f"answered {text[:200]!r}"


def exchange(port, data, half_close=True):
    """Sends bytes, however the other end takes it, and reads to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), system.DEADLINE) as connection:
        answer = b""
        try:
            for piece in [data] if isinstance(data, bytes) else data:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # It has been ended by the other.
        try:
            while piece := connection.recv(1 << 16):
                answer += piece
        except ConnectionResetError:
            pass
        return answer
