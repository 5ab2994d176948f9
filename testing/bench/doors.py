"""The legacy doors: what wrk gets through HTTP, beside a server that answers a constant, SQLite's
INSERT and gRPC's echo; and what connections cost that do nothing."""

import http.client
import json
import os
import random
import re
import resource
import socket
import statistics
import subprocess
import tempfile
import time

# What the original server did on such a machine, a second.
ORIGINAL_PUBLISHES = 1170
ORIGINAL_SELECTS = 582
ORIGINAL_RESULTS = 10

CONNECTIONS = 32
RESULT_ROWS = 10_000
MODES = {"one process": "standalone", "separate processes": "processes"}


class DoorsError(Exception):
    """Something could not be measured; the text says what and why."""


def _body(rows, seed):
    """A publish as a line for http_load.lua."""
    draw = random.Random(seed)
    table = {"tablename": "%s", "column_names": ["pid", "threads", "load", "started", "host",
                                                 "state"],
             "column_types": ["int", "int", "real", "real", "text", "text"],
             "rows": [[draw.randrange(100_000), draw.randrange(1_000),
                       draw.randrange(1_000_000) / 1009.0,
                       1.7e9 + draw.randrange(1_000_000_000) / 1013.0,
                       f"host-{draw.randrange(100_000):05}", f"state {draw.randrange(65536):x}"]
                      for _ in range(rows)]}
    return json.dumps({"op": "add_table_data", "identity": "%s", "table": table},
                      separators=(",", ":"))


def _get(address, path):
    """The status and the whole answer's length, as wrk counts it."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request("GET", path, headers={"Host": address})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    return answer.status, body


class Doors:
    """Measures by `bench`, whose table and samples get the figures."""

    def __init__(self, bench):
        self.bench = bench
        self.sizes = bench.sizes

    def wrk(self, address, *arguments):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "http_load.lua")
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{self.sizes.wrk_seconds}s", "-s", script,
                   f"http://{address}/", "--", *arguments]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=self.sizes.wrk_seconds + 60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DoorsError(f"wrk: {error}") from None
        result = re.search(r"^RESULT (.*)$", done.stdout, re.M)
        if result is None:
            raise DoorsError(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
        outcome = json.loads(result.group(1))
        if outcome["failed"] or not outcome["requests"]:
            raise DoorsError(f"wrk: {outcome['failed']} of {outcome['requests']} failed")
        return outcome

    def rate(self, address, *arguments):
        outcome = self.wrk(address, *arguments)
        return outcome["requests"] / outcome["seconds"]

    def publish_rate(self, address, rows, system):
        """Publishes a second, of so many rows each; that they were stored is looked up."""
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
            for seed in range(max(1, min(64, 64_000 // rows))):
                file.write(_body(rows, seed) + "\n")
            file.flush()
            before = self.stored(system)
            outcome = self.wrk(address, "post", "/request?op=add_table_data", file.name)
            stored = self.stored(system) - before
        # wrk leaves the last answers of its connections unread.
        if not outcome["requests"] <= stored <= outcome["requests"] + CONNECTIONS:
            raise DoorsError(f"{stored} of {outcome['requests']} publishes were stored")
        return outcome["requests"] / outcome["seconds"]

    @staticmethod
    def stored(system):
        """Publishes that ingest has stored so far."""
        _, body = _get(system.addresses["metrics"], "/metrics")
        return round(sum(float(value) for value in re.findall(
            r'^qasino_ingest_publishes_total\{result="stored"\} (\S+)$', body.decode(), re.M)))

    def start(self, system, mode, generation):
        """The address of HTTP."""
        if mode == "standalone":
            system.start_standalone(generation, metrics_port=0, http_port=0)
        else:
            system.start_store()
            system.start_query()
            system.start_ingest(generation, metrics_port=0)
            system.start_http()
        return system.addresses["http"]

    def publishing(self):
        """Small publishes and tables of many rows."""
        sizes = self.sizes
        for what, mode in MODES.items():
            constant, small, insert, large = [], [], [], []
            for _ in range(sizes.door_rounds):
                with self.bench.server("http_constant_server") as server:
                    constant.append(self.rate(server.addresses["constant"], "get", "/"))
                with self.bench.qasino() as system:
                    address = self.start(system, mode, "24h")
                    small.append(self.publish_rate(address, 1, system))
                insert.append(self.bench.insert_rate())
                with self.bench.qasino() as system:
                    address = self.start(system, mode, "24h")
                    large.append(1000 * self.publish_rate(address, 1000, system))
            self.bench.compare(
                f"http_publish_small_{mode}",
                f"publish 1 row, HTTP keep-alive, {CONNECTIONS} connections, {what} / Beast "
                f"answering a constant (the original: {ORIGINAL_PUBLISHES:,}/s)",
                constant, small, "requests/s")
            self.bench.compare(
                f"http_publish_rows_{mode}",
                f"publish 1,000 rows × 6 columns as HTTP JSON, {what} / SQLite INSERT",
                insert, large, "rows/s")

    def answers(self):
        """Small and large answers, from a snapshot that stays for longer than this takes."""
        for what, mode in MODES.items():
            echo, select, results = [], [], []
            with self.bench.qasino() as system, self.bench.echo_server() as echo_address:
                address = self.start(system, mode, self.bench.generation_that_ends_in(4))
                self.bench.publish(system, name="result", publishes=RESULT_ROWS // 1000, rows=1000,
                                   identities=RESULT_ROWS // 1000)
                self.wait_for_rows(address)
                for _ in range(self.sizes.door_rounds):
                    echo.append(self.bench.echo_rate(echo_address))
                    select.append(self.rate(address, "get", "/request?op=query&sql=select%201"))
                    results.append(self.rate(
                        address, "get", "/request?op=query&sql=select%20*%20from%20result"))
            self.bench.compare(
                f"http_select_1_{mode}",
                f"`select 1`, HTTP keep-alive, {CONNECTIONS} connections, {what} / unary gRPC echo "
                f"(the original: {ORIGINAL_SELECTS}/s)", echo, select, "requests/s")
            self.bench.compare(
                f"http_result_{mode}",
                f"{RESULT_ROWS:,} × 6 result as HTTP JSON, {what} / the original",
                [ORIGINAL_RESULTS] * len(results), results, "results/s")

    @staticmethod
    def wait_for_rows(address):
        end = time.monotonic() + 60
        while True:
            _, body = _get(address, "/request?op=query&sql=select%20count(*)%20from%20result")
            if f'["{RESULT_ROWS}"]' in body.decode():
                return
            if time.monotonic() > end:
                raise DoorsError(f"the rows did not come: {body.decode()[:200]}")
            time.sleep(0.02)

    def idle(self):
        """Connections that do nothing: their memory, and how quickly somebody new is answered."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.sizes.idle_connections
        if soft < wanted + 1000:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted + 1000), hard))
        with self.bench.qasino() as system:
            system.start_store()
            system.start_query()
            system.start_ingest("24h")
            for door, start, ask in (("http", system.start_http, self.ask_http),
                                     ("line", system.start_line, self.ask_line),
                                     ("zmq", system.start_zmq, self.ask_zmq)):
                adapter = start()
                address = system.addresses[door]
                count = wanted if door != "zmq" else max(1, wanted // 5)
                ask(address)
                before = adapter.memory()[0]
                idle = self.connect(door, address, count)
                times = []
                try:
                    for _ in range(20):
                        begin = time.monotonic()
                        ask(address)
                        times.append(1000 * (time.monotonic() - begin))
                    each = (adapter.memory()[0] - before) / count
                finally:
                    for connection in idle:
                        connection.close()
                self.bench.record(f"idle_{door}", connections=count, bytes_each=each, answer_ms=times)
                self.bench.add_row(
                    f"a new client of {door} is answered, beside {count:,} connections that do "
                    f"nothing ({each / 1024:.1f} KiB each)", "–",
                    f"**{statistics.median(times):.1f} ms** ({min(times):.1f}–{max(times):.1f})",
                    "–")

    @staticmethod
    def connect(door, address, count):
        host, port = address.rsplit(":", 1)
        if door == "zmq":
            import zmq  # pylint: disable=import-outside-toplevel
            context = zmq.Context()
            context.set(zmq.MAX_SOCKETS, count + 100)
            sockets = []
            for _ in range(count):
                client = context.socket(zmq.REQ)
                client.setsockopt(zmq.LINGER, 0)
                client.connect(f"tcp://{address}")
                client.send(b'{"op":"query","sql":"select 1"}')
                sockets.append(client)
            for client in sockets:
                if not client.poll(60_000):
                    raise DoorsError("a ZeroMQ client was not answered")
                client.recv()
            return sockets
        question, end = {
            "http": (b"GET /request?op=query&sql=select%201 HTTP/1.1\r\nHost: q\r\n\r\n", b"}}"),
            "line": (b"select 1;\r\n", b"returned\r\n")}[door]
        sockets = []
        for _ in range(count):
            client = socket.create_connection((host, int(port)), 60)
            client.sendall(question)
            sockets.append(client)
        for client in sockets:
            answer = b""
            while not answer.endswith(end):
                piece = client.recv(4096)
                if not piece:
                    raise DoorsError(f"{door} closed a connection: {answer!r}")
                answer += piece
        return sockets

    @staticmethod
    def ask_http(address):
        status, _ = _get(address, "/request?op=query&sql=select%201")
        if status != 200:
            raise DoorsError(f"HTTP answers {status}")

    @classmethod
    def ask_line(cls, address):
        for client in cls.connect("line", address, 1):
            client.close()

    @classmethod
    def ask_zmq(cls, address):
        for client in cls.connect("zmq", address, 1):
            client.close()


def measure(bench):
    """All of it."""
    doors = Doors(bench)
    doors.publishing()
    doors.answers()
    doors.idle()
