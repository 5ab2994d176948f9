"""Clients of every door that speak as those of the original do, and all answer alike: a door is
asked SQL and given tables, and what it says is the same whichever it is.

Cells are strings, as the legacy dialect has them: NULL is the empty one.
"""

import collections
import csv
import http.client
import io
import json
import re
import socket
import sqlite3
import subprocess
import urllib.parse

import grpc
import zmq
from qasino.v1 import ingest_pb2

from testing.e2e import system, tables

Answer = collections.namedtuple("Answer", "columns rows")  # columns: None where a door has none


class Refused(Exception):
    """What a door says instead of an answer, without the words that are the door's own."""


_RENDERING = sqlite3.connect(":memory:", check_same_thread=False)


def rendered(cell):
    """A cell as SQLite writes it in text."""
    if cell is None:
        return ""
    return _RENDERING.execute("SELECT CAST(? AS TEXT)", (cell,)).fetchone()[0]


def statement_refused(message):
    """A message of the legacy dialect without its prefix."""
    return Refused(re.sub(r"\ASQLError: ", "", message))


Response = collections.namedtuple("Response", "status headers body")


def curl(*arguments, stdin=None):
    """Runs curl; the last response that it got. Headers' names are in lower case."""
    done = subprocess.run(
        ["curl", "-sS", "--max-time", str(int(system.DEADLINE)), "-D", "/dev/stderr",
         *map(str, arguments)],
        input=stdin, capture_output=True, timeout=2 * system.DEADLINE, check=False)
    assert done.returncode == 0, f"curl ended with {done.returncode}: {done.stderr.decode()}"
    blocks = done.stderr.decode("latin-1").replace("\r\n", "\n").strip().split("\n\n")
    first, *lines = blocks[-1].split("\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Response(int(first.split()[1]), headers, done.stdout)


def quoted(sql):
    return urllib.parse.quote(sql, safe="")


def columns_of(message):
    """A legacy table as columns of the gRPC contract."""
    types = {"int": tables.INTEGER, "integer": tables.INTEGER, "real": tables.REAL,
             "text": tables.TEXT, "varchar": tables.TEXT}
    table = message["table"]
    cells = list(zip(*table["rows"])) or [[] for _ in table["column_names"]]
    return tables.table(table["tablename"], {
        name: (types[type_], list(column)) for name, type_, column in zip(
            table["column_names"], table["column_types"], cells)})


class GrpcDoor:
    """The services themselves."""

    def __init__(self, qasino):
        self._client = qasino.client

    def ask(self, sql):
        try:
            answer = self._client.query(sql)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.PERMISSION_DENIED:
                raise Refused(f"ERROR: Unrecognized statement: {sql}") from None
            raise Refused(error.details()) from None
        return Answer(answer.columns, [[rendered(cell) for cell in row] for row in answer.rows])

    def publish(self, message):
        options = {key: bool(message[key]) for key in ("persist", "static", "update")
                   if key in message}
        if "keycols" in message:
            options["keycols"] = message["keycols"].split(";")
        try:
            self._client.ingests[0].Publish(ingest_pb2.PublishRequest(
                identity=message["identity"], table=columns_of(message), **options),
                timeout=system.DEADLINE)
        except grpc.RpcError as error:
            raise Refused(error.details()) from None

    def close(self):
        pass


def legacy_answer(text):
    """The answer in a legacy JSON text, of which everything is checked."""
    answer = json.loads(text)
    if answer["response_op"] == "error":
        raise statement_refused(answer["error_message"])
    assert answer["response_op"] == "result_table"
    table = answer["table"]
    assert list(table) == ["column_names", "rows"]
    for row in table["rows"]:
        assert len(row) == len(table["column_names"])
        assert all(isinstance(cell, str) for cell in row)
    return Answer(table["column_names"], table["rows"])


def check_published(text):
    """That a legacy JSON text says ok."""
    answer = json.loads(text)
    if answer["response_op"] == "error":
        raise Refused(re.sub(r"\AInvalid input format: ", "", answer["error_message"]))
    assert answer["response_op"] == "ok"


class HttpDoor:
    """POST, over one connection that is kept."""

    def __init__(self, qasino):
        self._connection = http.client.HTTPConnection("127.0.0.1", qasino.door("http"),
                                                      timeout=system.DEADLINE)

    def request(self, method, path, body=None, headers=None):
        self._connection.request(method, path, body, headers or {})
        response = self._connection.getresponse()
        return Response(response.status,
                        {name.lower(): value for name, value in response.getheaders()},
                        response.read())

    def ask(self, sql):
        return legacy_answer(
            self.request("POST", "/request?op=query", json.dumps({"sql": sql})).body)

    def publish(self, message):
        check_published(
            self.request("POST", "/request?op=add_table_data", json.dumps(message)).body)

    def close(self):
        self._connection.close()


class CurlDoor:
    """GET and POST by curl."""

    def __init__(self, qasino):
        self._url = f"http://127.0.0.1:{qasino.door('http')}/request"

    def ask(self, sql):
        return legacy_answer(curl(f"{self._url}?op=query&sql={quoted(sql)}").body)

    def publish(self, message):
        check_published(curl(f"{self._url}?op=add_table_data", "-d", json.dumps(message)).body)

    def close(self):
        pass


class CsvDoor(HttpDoor):
    """Answers as CSV."""

    def ask(self, sql):
        response = self.request("GET", f"/request?op=query&format=csv&sql={quoted(sql)}")
        if response.headers["content-type"].startswith("application/json"):
            return legacy_answer(response.body)
        if not response.headers["content-type"].startswith("text/csv"):
            raise Refused(re.sub(r"\ASQL error: ", "", response.body.decode()))
        columns, *rows = csv.reader(io.StringIO(response.body.decode(), newline=""), strict=True)
        return Answer(columns, rows)


class NdjsonDoor(HttpDoor):
    """Answers as NDJSON: without rows there are no names."""

    def ask(self, sql):
        response = self.request("GET", f"/request?op=query&format=ndjson&sql={quoted(sql)}")
        if response.headers["content-type"].startswith("application/json"):
            return legacy_answer(response.body)
        if not response.headers["content-type"].startswith("application/x-ndjson"):
            raise Refused(re.sub(r"\ASQL error: ", "", response.body.decode()))
        rows = [json.loads(line) for line in response.body.decode().splitlines()]
        if not rows:
            return Answer(None, [])
        columns = [re.sub(r":[0-9]+\Z", "", name) for name in rows[0]]
        return Answer(columns, [[rendered(cell) for cell in row.values()] for row in rows])


def read_text(text):
    """The answer in a text rendering, whose shape is checked. Cells may not begin with
    blanks."""
    header, rule, *rows, last = text.removesuffix("\n").split("\n")
    assert re.fullmatch(r"=+(  =+)*", rule) or rule == "", text
    assert last == f"{len(rows)} rows returned", text
    places = [(match.start(), match.end()) for match in re.finditer("=+", rule)]

    def cells(line):
        assert len(line) == len(rule), text
        return [line[start:end].lstrip(" ") for start, end in places]

    return Answer(cells(header), [cells(row) for row in rows])


class TextDoor(HttpDoor):
    """Answers as text over HTTP."""

    def ask(self, sql):
        text = self.request("GET", f"/request?op=query&format=text&sql={quoted(sql)}").body.decode()
        if re.match(r"SQL error: |ERROR: ", text):
            raise Refused(re.sub(r"\ASQL error: ", "", text))
        return read_text(text)


class ZmqDoor:
    """A REQ socket."""

    def __init__(self, qasino):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.linger = 0
        self._socket.rcvtimeo = int(system.DEADLINE * 1000)
        self._socket.connect(f"tcp://127.0.0.1:{qasino.door('zmq')}")

    def request(self, message):
        """The parts of the reply."""
        self._socket.send(message if isinstance(message, bytes) else json.dumps(message).encode())
        return self._socket.recv_multipart()

    def ask(self, sql):
        (reply,) = self.request({"op": "query", "identity": "client", "sql": sql})
        return legacy_answer(reply)

    def publish(self, message):
        (reply,) = self.request({"op": "add_table_data", **message})
        check_published(reply)

    def close(self):
        self._socket.close()
        self._context.term()


class LineDoor:
    """A connection as telnet makes it."""

    def __init__(self, qasino):
        self._socket = socket.create_connection(("127.0.0.1", qasino.door("line")),
                                                system.DEADLINE)
        self._file = self._socket.makefile("rb")

    def send(self, data):
        self._socket.sendall(data)

    def line(self):
        """The next line without its end; None when there is none."""
        line = self._file.readline()
        if not line:
            return None
        assert line.endswith(b"\r\n"), line
        return line[:-2].decode()

    def rest(self):
        return self._file.read()

    def answer(self):
        """The lines of the next answer, each ended by LF."""
        lines = []
        while True:
            line = self.line()
            assert line is not None, f"the connection ended after {lines}"
            lines.append(line)
            if re.fullmatch(r"\d+ rows returned|(SQL error|ERROR): .*", line):
                return "\n".join(lines) + "\n"

    def ask(self, sql):
        # A comment at the end would hide a `;` on its line.
        end = "\n;" if "--" in sql else ";"
        self.send((sql.rstrip().removesuffix(";") + end + "\r\n").encode())
        text = self.answer()
        if re.match(r"SQL error: |ERROR: ", text):
            raise Refused(re.sub(r"\ASQL error: ", "", text.removesuffix("\n")))
        return read_text(text)

    def close(self):
        self._file.close()
        self._socket.close()


DOORS = {
    "grpc": GrpcDoor, "http": HttpDoor, "curl": CurlDoor, "csv": CsvDoor, "ndjson": NdjsonDoor,
    "text": TextDoor, "zmq": ZmqDoor, "line": LineDoor,
}
PUBLISHING = ("grpc", "http", "curl", "zmq")
