#!/usr/bin/python3
"""Measures Qasino beside the limits of the same machine, and prints one table."""

import argparse
import collections
import contextlib
import ctypes
import dataclasses
import json
import math
import os
import re
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from testing.bench import doors

ABOUT = """
Runs, in turns, what this machine's gRPC and SQLite can do at best and what Qasino does, and
prints one table of both in Markdown. Every figure is the median of several rounds; `ratio` is
Qasino's figure by the limit's of the same round, with the least and the greatest. Nothing but
Qasino should run meanwhile. No figure makes the exit code other than 0; it is 1 when
something could not be measured.

`instructions` counts the instructions of the hot paths (valgrind's callgrind; no transport)
and compares them with the record in testing/bench/instructions.json. They hardly differ from
run to run, so that a slowdown is seen which the other figures hide; one of more than 5 % is
said in words. Renew the record when a path has become quicker, or slower for a good reason:

  testing/bench/run --figures instructions --renew-instructions
"""

INGEST = "services/ingest/qasino-ingest"
STORE = "services/store/qasino-store"
QUERY = "services/query/qasino-query"
STANDALONE = "services/standalone/qasino"
HTTP = "adapters/http/qasino-http"
ZMQ = "adapters/zmq/qasino-zmq"
LINE = "adapters/line/qasino-line"
RECORD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.json")

# Far beyond what a step takes.
DEADLINE_S = 150
# How long at most a question is asked again and again.
REPEAT_S = 5
# More instructions than so many times the record's are told of.
SLOWER = 1.05
# A generation that does not end while it is measured.
LONG = "24h"
DEBIAN_LIBRARIES = {"gRPC": "libgrpc++-dev", "protobuf": "libprotobuf-dev",
                    "SQLite": "libsqlite3-dev", "Abseil": "libabsl-dev"}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is done. Rounds are rounds; the rest are counts of one round."""
    rounds: int
    publishes: int  # of `rows` rows each; together the rows of a large generation
    rows: int
    echoes: int
    small_publishes: int  # of one row, over the stream
    unary_publishes: int
    selects: int
    result_publishes: int  # of 1,000 rows each: the large result
    result_repeats: int
    aggregate_rounds: int
    aggregates: int  # of one statement, from 64 clients
    freshness_rounds: int
    spread_rounds: int
    tables: int  # how many instead of one
    table_rows: int
    identities: int  # how many instead of one
    identity_rows: int
    counted_publishes: int  # of 1,000 rows each, while instructions are counted
    counted_selects: int
    door_rounds: int
    wrk_seconds: int
    idle_connections: int


FULL = Sizes(rounds=5, publishes=1000, rows=1000, echoes=40_000, small_publishes=200_000,
             unary_publishes=30_000, selects=30_000, result_publishes=100, result_repeats=5,
             aggregate_rounds=3, aggregates=6400, freshness_rounds=3, spread_rounds=3, tables=2000, table_rows=500,
             identities=10_000, identity_rows=100, counted_publishes=50, counted_selects=300,
             door_rounds=3, wrk_seconds=3, idle_connections=5000)
QUICK = dataclasses.replace(FULL, rounds=3, publishes=200, echoes=10_000, small_publishes=50_000,
                            unary_publishes=10_000, selects=10_000, aggregate_rounds=1,
                            freshness_rounds=1, spread_rounds=1, door_rounds=1)
TINY = Sizes(rounds=1, publishes=20, rows=100, echoes=200, small_publishes=500,
             unary_publishes=200, selects=200, result_publishes=3, result_repeats=1,
             aggregate_rounds=1, aggregates=128, freshness_rounds=1, spread_rounds=1, tables=20,
             table_rows=10, identities=50, identity_rows=10, counted_publishes=2,
             counted_selects=10, door_rounds=1, wrk_seconds=1, idle_connections=50)
SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}


class BenchError(Exception):
    """Something could not be measured; the text says what and why."""


def _die_with_parent():
    """In a child: SIGKILL when this process ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


def _environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("QASINO_")}


class Server:
    """A server process: started when made, ready when its constructor returns."""

    def __init__(self, binary, flags, directory):
        self.name = os.path.basename(binary)
        self._log = tempfile.NamedTemporaryFile(  # pylint: disable=consider-using-with
            prefix=self.name + ".", suffix=".log", dir=directory)
        command = [binary]
        for flag, value in flags.items():
            command += [flag, str(value)]
        try:
            self._process = subprocess.Popen(  # pylint: disable=consider-using-with
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log,
                env=_environment(), preexec_fn=_die_with_parent)
        except OSError as error:
            raise BenchError(f"{self.name} cannot be run: {error.strerror}") from None
        self.addresses = {}  # "ingest", "query", …: host:port
        try:
            self._wait_ready()
        except BaseException:
            self.kill()
            raise

    def _wait_ready(self):
        output = b""
        end = time.monotonic() + DEADLINE_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\nready\n" not in b"\n" + output:
                if not selector.select(end - time.monotonic()):
                    raise BenchError(f"{self.name} is not ready after {DEADLINE_S} s")
                piece = os.read(self._process.stdout.fileno(), 4096)
                if not piece:
                    raise BenchError(f"{self.name} ended at its start: {self.last_words()}")
                output += piece
        for what, address in re.findall(r"^listening: (\S+) \S+ (\S+)$", output.decode(), re.M):
            self.addresses[what] = address

    def last_words(self):
        with open(self._log.name, encoding="utf-8", errors="replace") as log:
            return " / ".join(log.read().splitlines()[-3:]) or "(it logged nothing)"

    def memory(self):
        """(resident now, greatest so far), in bytes."""
        with open(f"/proc/{self._process.pid}/status", encoding="ascii") as status:
            fields = dict(line.split(":", 1) for line in status)
        return tuple(int(fields[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))

    def cpu_seconds(self):
        with open(f"/proc/{self._process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._log.close()


class Qasino:
    """Servers on free ports and with a data directory of their own; killed at the end."""

    def __init__(self, binaries, directory):
        self._binaries = binaries
        self._directory = directory
        self._data = os.path.join(directory, "data")
        self.servers = []
        self.addresses = {}

    def start(self, binary, **flags):
        flags = {f"--{name.replace('_', '-')}": value for name, value in flags.items()}
        server = Server(os.path.join(self._binaries, binary),
                        {"--metrics-port": "off", "--log-level": "warn", **flags},
                        self._directory)
        self.servers.append(server)
        self.addresses.update(server.addresses)
        return server

    def start_store(self):
        return self.start(STORE, store_port=0, data_dir=self._data)

    def start_ingest(self, generation, **flags):
        return self.start(INGEST, ingest_port=0, store=self.addresses["store"],
                          generation_duration=generation, identity="bench", **flags)

    def start_query(self):
        return self.start(QUERY, query_port=0, store=self.addresses["store"])

    def start_standalone(self, generation, **flags):
        flags = {"http_port": "off", "https_port": "off", "zmq_port": "off", "pubsub_port": "off",
                 "line_port": "off", **flags}
        return self.start(STANDALONE, ingest_port=0, query_port=0, store_port=0,
                          data_dir=self._data, generation_duration=generation, identity="bench",
                          **flags)

    def start_http(self):
        return self.start(HTTP, http_port=0, https_port="off", ingest=self.addresses["ingest"],
                          query=self.addresses["query"], identity="bench")

    def start_zmq(self):
        return self.start(ZMQ, zmq_port=0, pubsub_port="off", ingest=self.addresses["ingest"],
                          query=self.addresses["query"], identity="bench")

    def start_line(self):
        return self.start(LINE, line_port=0, query=self.addresses["query"], identity="bench")

    def stop(self):
        for server in self.servers:
            server.kill()


@dataclasses.dataclass
class Row:
    """A line of the table."""
    figure: str
    limit: str
    qasino: str
    ratio: str


class Bench:
    """Measures. Each figure's samples are kept in `samples`, its lines in `rows`."""

    def __init__(self, binaries, sizes, record=RECORD, renew=False):
        self.binaries = binaries
        self.sizes = sizes
        self.record_file = record  # of instructions
        self.renew = renew
        self.rows = []
        self.remarks = []
        self.samples = collections.OrderedDict()
        self.failures = []
        self.large_publish_seconds = None  # see large_publish

    # -- running things

    def drive(self, program, *arguments, under=()):
        """What a program of this folder prints; run by another command if one is given."""
        command = [*under, os.path.join(self.binaries, "testing/bench", program),
                   *map(str, arguments)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=DEADLINE_S, env=_environment(),
                                  preexec_fn=_die_with_parent, check=False)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{program} is not done after {DEADLINE_S} s") from None
        except OSError as error:
            name = under[0] if under else program
            raise BenchError(f"{name} cannot be run: {error.strerror}") from None
        if done.returncode != 0:
            raise BenchError(f"{program}: {done.stderr.strip() or 'failed silently'}")
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def qasino(self):
        with tempfile.TemporaryDirectory(prefix="qasino-bench-") as directory:
            system = Qasino(self.binaries, directory)
            try:
                yield system
            finally:
                system.stop()

    @contextlib.contextmanager
    def server(self, program):
        """A server of this folder."""
        with tempfile.TemporaryDirectory(prefix="qasino-bench-") as directory:
            server = Server(os.path.join(self.binaries, "testing/bench", program), {}, directory)
            try:
                yield server
            finally:
                server.kill()

    @contextlib.contextmanager
    def echo_server(self):
        with self.server("echo_server") as server:
            yield server.addresses["echo"]

    def echo_rate(self, address):
        return _rate(self.drive("echo_load", "--target", address, "--calls", self.sizes.echoes),
                     "calls")

    def insert_rate(self):
        return _rate(self.drive("sqlite_limits", "insert", "--publishes", self.sizes.publishes,
                                "--rows", self.sizes.rows), "rows")

    def publish(self, system, **options):
        """The outcome of publish_load."""
        arguments = []
        for name, value in options.items():
            arguments.append(f"--{name}")
            if value is not True:
                arguments.append(value)
        return self.drive("publish_load", "--target", system.addresses["ingest"], *arguments)

    def publish_alone(self, **options):
        """The outcome of publish_load with an ingest and a store of its own, and in `cpu` what
        ingest took; all in one generation."""
        for _ in range(2):
            with self.qasino() as system:
                system.start_store()
                ingest = system.start_ingest(LONG)
                before = ingest.cpu_seconds()
                outcome = self.publish(system, **options)
                outcome["ingest_cpu_seconds"] = ingest.cpu_seconds() - before
            if outcome["first_generation"] == outcome["last_generation"]:
                return outcome
        raise BenchError("the generation ended within the measurement, twice")

    def large_publish(self):
        """How many seconds it takes to publish the rows of a large generation."""
        if self.large_publish_seconds is None:
            self.large_publish_seconds = self.publish_alone(
                publishes=self.sizes.publishes, rows=self.sizes.rows,
                identities=self.sizes.publishes)["seconds"]
        return self.large_publish_seconds

    # -- the table

    def progress(self, text):
        print(text, file=sys.stderr, flush=True)

    def record(self, name, **samples):
        self.samples.setdefault(name, {}).update(samples)

    def compare(self, name, figure, limits, values, unit):
        """A line for a figure whose limit was measured in the same rounds."""
        ratios = [value / limit for limit, value in zip(limits, values)]
        self.record(name, unit=unit, limit=limits, qasino=values, ratio=ratios)
        self.rows.append(Row(figure, f"{_count(statistics.median(limits))} {unit}",
                             f"{_count(statistics.median(values))} {unit}", _spread(ratios, 2)))

    def add_row(self, *texts):
        self.rows.append(Row(*texts))

    @staticmethod
    def generation_that_ends_in(seconds):
        return _generation_that_ends_in(seconds)

    # -- the figures

    def publishing(self):
        """1: rows in."""
        sizes = self.sizes
        limits, shard, values, seconds, cpu = [], [], [], [], []
        for _ in range(sizes.rounds):
            limits.append(self.insert_rate())
            outcome = self.publish_alone(publishes=sizes.publishes, rows=sizes.rows,
                                         identities=sizes.publishes)
            alone = self.drive("shard_load", "--publishes", sizes.publishes, "--rows", sizes.rows)
            values.append(_rate(outcome, "rows"))
            shard.append(_rate(alone, "rows"))
            seconds.append(outcome["seconds"])
            cpu.append(outcome["ingest_cpu_seconds"])
        self.large_publish_seconds = statistics.median(seconds)
        self.compare("publish_stream_rows",
                     f"publish {sizes.rows:,} rows × 6 columns, {sizes.publishes:,} identities, "
                     "PublishStream / SQLite INSERT", limits, values, "rows/s")
        self.record("publish_stream_rows", ingest_cpu_seconds=cpu)
        self.compare("shard", "the shard alone, sealed, one thread / SQLite INSERT", limits, shard,
                     "rows/s")

    def small_calls(self):
        """2: one-row publishes."""
        sizes = self.sizes
        limits, streamed, unary = [], [], []
        with self.echo_server() as echo:
            for _ in range(sizes.rounds):
                limits.append(self.echo_rate(echo))
                # Each identity publishes at most 200 tables.
                streamed.append(_rate(self.publish_alone(
                    publishes=sizes.small_publishes, rows=1,
                    tables=min(200, sizes.small_publishes),
                    identities=math.ceil(sizes.small_publishes / 200)), "publishes"))
                unary.append(_rate(self.publish_alone(
                    publishes=sizes.unary_publishes, rows=1, tables=min(200, sizes.unary_publishes),
                    identities=math.ceil(sizes.unary_publishes / 200), unary=True), "publishes"))
        self.compare("publish_stream_small", "publish 1 row, PublishStream / unary gRPC echo",
                     limits, streamed, "calls/s")
        self.compare("publish_unary_small",
                     "publish 1 row, unary, 64 in flight / unary gRPC echo", limits, unary,
                     "calls/s")

    def queries(self):
        """3, 4 and 8: answers, from a snapshot that stays for longer than this takes."""
        sizes = self.sizes
        publishing = 3 * self.large_publish() + 3
        with self.echo_server() as echo, self.qasino() as system:
            system.start_store()
            system.start_query()
            system.start_ingest(_generation_that_ends_in(publishing))
            outcomes = [self.publish(system, name="result", publishes=sizes.result_publishes,
                                     rows=1000, identities=sizes.result_publishes),
                        self.publish(system, name="large", publishes=sizes.publishes,
                                     rows=sizes.rows, identities=sizes.publishes)]
            if outcomes[0]["first_generation"] != outcomes[1]["last_generation"]:
                raise BenchError(f"the rows were not published within {publishing:.0f} s")
            target = system.addresses["query"]
            self._wait_for_table(target, "large")
            self._select_one(echo, target)
            self._large_result(target)
            self._aggregate(target)

    def _wait_for_table(self, target, table):
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                self.drive("query_load", "--target", target, "--calls", 1, "--sql",
                           f"SELECT 1 FROM {table} LIMIT 1")
                return
            except BenchError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def _select_one(self, echo, target):
        limits, kept, executed = [], [], []
        for number in range(self.sizes.rounds):
            limits.append(self.echo_rate(echo))
            # Statements that differ are not answered with what was kept.
            for values, sql in ((kept, "SELECT 1"), (executed, f"SELECT {{}}, {number}")):
                values.append(_rate(self.drive("query_load", "--target", target, "--calls",
                                               self.sizes.selects, "--sql", sql), "calls"))
        self.compare("select_1", "`SELECT 1`, 64 in flight / unary gRPC echo", limits, kept,
                     "calls/s")
        self.compare("select_n", "the same, another statement each time / unary gRPC echo", limits,
                     executed, "calls/s")

    def _large_result(self, target):
        sizes = self.sizes
        limits, by_batch, by_row, kept = [], [], [], []
        for number in range(sizes.rounds):
            scan = self.drive("sqlite_limits", "scan", "--publishes", sizes.result_publishes,
                              "--repeat", sizes.result_repeats)
            limits.append(_rate(scan, "rows", "runs"))
            for values, comment, flags in ((by_batch, f"-- {number} batch {{}}", []),
                                           (by_row, f"-- {number} row {{}}", ["--by-row"]),
                                           (kept, "-- kept", [])):
                read = self.drive("result_load", "--target", target, "--sql",
                                  f"SELECT * FROM result {comment}", "--repeat",
                                  sizes.result_repeats, *flags)
                _check_same(scan, read)
                values.append(_rate(read, "rows", "runs"))
        rows = f"{sizes.result_publishes * 1000:,} × 6 result"
        self.compare("large_result", f"{rows}, read by batch / sqlite3_step", limits, by_batch,
                     "rows/s")
        self.compare("large_result_by_row", f"{rows}, read by row / sqlite3_step", limits, by_row,
                     "rows/s")
        self.compare("large_result_kept", f"{rows}, asked again, by batch / sqlite3_step", limits,
                     kept, "rows/s")

    def _aggregate(self, target):
        each, same = [], []
        rows = self.sizes.publishes * self.sizes.rows
        for number in range(1, self.sizes.aggregate_rounds + 1):
            # Statements that differ and answer alike cannot be answered from a cache; each
            # round has its own, and the one that is asked again and again is new to it too.
            for values, bound, calls in ((each, f"-{number}{{}}", 64),
                                         (same, f"-90{number}", self.sizes.aggregates)):
                values.append(_rate(self.drive(
                    "query_load", "--target", target, "--calls", calls, "--most-seconds",
                    REPEAT_S, "--sql",
                    f"SELECT count(*), sum(pid), avg(load) FROM large WHERE pid >= {bound}"),
                    "calls"))
        self.compare("aggregate", f"aggregate over {rows:,} rows, the same from 64 clients / "
                     "executed each time", each, same, "calls/s")

    def freshness(self):
        """5 and 6: the end of a generation, and memory."""
        duration = f"{max(3, math.ceil(2 * self.large_publish() + 2))}s"
        modes = collections.OrderedDict([("separate processes", False), ("one process", True)])
        memory = []
        for mode, standalone in modes.items():
            name = "standalone" if standalone else "processes"
            with self.qasino() as system:
                if standalone:
                    system.start_standalone(duration)
                else:
                    system.start_store()
                    system.start_ingest(duration)
                    system.start_query()
                idle = sum(server.memory()[0] for server in system.servers)
                outcome = self.drive(
                    "freshness", "--ingest", system.addresses["ingest"], "--query",
                    system.addresses["query"], "--store", system.addresses["store"],
                    "--publishes", self.sizes.publishes, "--rows", self.sizes.rows,
                    "--rounds", self.sizes.freshness_rounds)["rounds"]
                time.sleep(1)  # What is freed after the swap is freed by now.
                settled = {server.name: server.memory()[0] for server in system.servers}
                peak = {server.name: server.memory()[1] for server in system.servers}
            seen = [each["seen_ms"] for each in outcome]
            slowest = [each["slowest_ack_ms"] for each in outcome]
            size = outcome[-1]["snapshot_bytes"]
            rows = self.sizes.publishes * self.sizes.rows
            self.record(f"freshness_{name}", seen_ms=seen, slowest_ack_ms=slowest,
                        generation=duration, rounds=outcome)
            self.record(f"memory_{name}", snapshot_bytes=size, idle_bytes=idle, settled=settled,
                        peak=peak)
            self.rows.append(Row(
                f"end of a generation of {rows:,} rows ({_megabytes(size)}) → first query that "
                f"sees it, {mode}", "–", _milliseconds(seen), "–"))
            self.rows.append(Row(
                f"slowest acknowledgement of a one-row publish meanwhile, {mode}", "–",
                _milliseconds(slowest), "–"))
            for what, values in (("settled", settled), ("peak", peak)):
                total = sum(values.values())
                memory.append(Row(
                    f"resident memory, {what}, {mode} (idle {_megabytes(idle)}) / snapshot",
                    _megabytes(size), _megabytes(total), f"{total / size:.1f}"))
        self.rows += memory

    def spread(self):
        """7: many tables and many identities instead of one."""
        sizes = self.sizes
        # Only the number of tables differs: as many identities publish one table each.
        tables = dict(publishes=sizes.tables, identities=sizes.tables, rows=sizes.table_rows)
        # Only the number of identities differs; tables are there before the clock starts.
        identities = dict(rows=sizes.identity_rows, tables=sizes.tables, prepare=True)
        one_table, many_tables, one_identity, many_identities = [], [], [], []
        for _ in range(sizes.spread_rounds):
            one_table.append(_rate(self.publish_alone(tables=1, **tables), "rows"))
            many_tables.append(_rate(self.publish_alone(tables=sizes.tables, **tables), "rows"))
            one_identity.append(_rate(self.publish_alone(
                publishes=sizes.tables, identities=1, **identities), "rows"))
            many_identities.append(_rate(self.publish_alone(
                publishes=sizes.identities, identities=sizes.identities, **identities), "rows"))
        self.compare("tables", f"publish {sizes.table_rows:,} rows into {sizes.tables:,} tables / "
                     "into 1", one_table, many_tables, "rows/s")
        self.compare("identities", f"publish {sizes.identity_rows:,} rows as "
                     f"{sizes.identities:,} identities / as 1", one_identity, many_identities,
                     "rows/s")

    def instructions(self):
        """What the hot paths cost, in instructions, beside the record."""
        sizes = self.sizes
        paths = collections.OrderedDict([
            ("publish_row", ("publish into the shard and seal it, each row",
                             ["publish", "--publishes", sizes.counted_publishes])),
            ("select_1", ("answer `SELECT 1`", ["select", "--queries", sizes.counted_selects])),
            ("result_row", ("answer a large result, each row",
                            ["result", "--publishes", sizes.counted_publishes]))])
        counts = {name: self._count_instructions(arguments)
                  for name, (_, arguments) in paths.items()}
        facts = machine()
        made_with = {"compiler": facts["compiler"] + " -O2", "libraries": facts["libraries"]}
        if self.renew:
            with open(self.record_file, "w", encoding="utf-8") as file:
                json.dump({**made_with, "instructions": {
                    name: round(count) for name, count in counts.items()}}, file, indent=1)
                file.write("\n")
        try:
            with open(self.record_file, encoding="utf-8") as file:
                record = json.load(file)
        except OSError as error:
            raise BenchError(f"{self.record_file}: {error.strerror}") from None
        if {key: record[key] for key in made_with} != made_with:
            self.remarks.append("The record of instructions was made with another compiler or "
                                "other libraries; that alone makes a difference.")
        slower = []
        for name, (what, _) in paths.items():
            before = record["instructions"][name]
            ratio = counts[name] / before
            self.record(f"instructions_{name}", limit=[before], qasino=[counts[name]],
                        ratio=[ratio])
            self.rows.append(Row(f"instructions to {what} / the record's", f"{before:,}",
                                 f"{counts[name]:,.0f}", f"**{ratio:.2f}**"))
            if ratio > SLOWER:
                slower.append(name)
                self.remarks.append(f"SLOWER: to {what} takes {100 * (ratio - 1):.0f} % more "
                                    f"instructions than on record, {counts[name]:,.0f} instead "
                                    f"of {before:,}.")
        if not slower:
            self.remarks.append("No hot path takes over 5 % more instructions than on record.")

    def _count_instructions(self, arguments):
        """Of one path, by what it did."""
        with tempfile.NamedTemporaryFile(prefix="qasino-bench-", suffix=".log") as log:
            outcome = self.drive(
                "hot_paths", *arguments,
                under=["valgrind", "--tool=callgrind", "--toggle-collect=HotPath",
                       "--callgrind-out-file=/dev/null", f"--log-file={log.name}"])
            text = log.read().decode(errors="replace")
        collected = re.search(r"Collected : (\d+)", text)
        if collected is None or int(collected.group(1)) == 0:
            raise BenchError("valgrind collected nothing: " + " / ".join(text.splitlines()[-3:]))
        return int(collected.group(1)) / outcome["of"]

    def doors(self):
        """What the adapters do, and what their connections cost."""
        try:
            doors.measure(self)
        except doors.DoorsError as error:
            raise BenchError(error) from None

    FIGURES = collections.OrderedDict([
        ("publishing", publishing), ("small-calls", small_calls), ("queries", queries),
        ("freshness", freshness), ("spread", spread), ("doors", doors),
        ("instructions", instructions)])

    def run(self, figures):
        for name in figures:
            begin = time.monotonic()
            self.progress(f"-- {name} ...")
            try:
                self.FIGURES[name](self)
            except BenchError as error:
                self.failures.append(f"{name}: {error}")
                self.progress(f"   could not be measured: {error}")
            self.progress(f"   {time.monotonic() - begin:.0f} s")


def _generation_that_ends_in(seconds):
    """A generation duration of five minutes or more whose running generation ends in about so
    many seconds: generations begin at the multiples of their duration."""
    end = math.ceil(time.time() + seconds)
    while True:
        for duration in range(300, 3600):
            if end % duration == 0:
                return f"{duration}s"
        end += 1


def _rate(outcome, *counts):
    """A second: the product of some counts of an outcome by its seconds."""
    return math.prod(outcome[count] for count in counts) / max(outcome["seconds"], 1e-9)


def _check_same(limit, read):
    """Both have read the same cells."""
    for key in ("rows", "integers", "text_bytes", "text"):
        if limit[key] != read[key]:
            raise BenchError(f"{key} of the result: {read[key]}, not {limit[key]}")
    if not math.isclose(limit["reals"], read["reals"], rel_tol=1e-9, abs_tol=1e-3):
        raise BenchError(f"reals of the result: {read['reals']}, not {limit['reals']}")


def _count(value):
    """Three digits: 1.23 M, 45.6 k, 789, 1.23."""
    for factor, suffix in ((1e6, " M"), (1e3, " k"), (1, "")):
        if value >= factor:
            value /= factor
            break
    else:
        suffix = ""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}{suffix}"


def _megabytes(size):
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def _spread(values, digits):
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"**{middle:.{digits}f}** ({least:.{digits}f}–{most:.{digits}f})"


def _milliseconds(values):
    return (f"**{statistics.median(values):.0f} ms** ({min(values):.0f}–{max(values):.0f})")


def _output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine():
    """What the figures depend on."""
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        models = re.findall(r"^model name\s*:\s*(.+)$", cpuinfo.read(), re.M)
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        memory = int(re.search(r"MemTotal:\s*(\d+)", meminfo.read()).group(1)) * 1024
    versions = {}
    for library, package in DEBIAN_LIBRARIES.items():
        version = _output("dpkg-query", "--show", "--showformat", "${Version}", package)
        versions[library] = re.sub(r"^\d+:|[-+].*$", "", version)
    return {"cpu": models[0] if models else os.uname().machine,
            "cores": len(os.sched_getaffinity(0)), "memory_bytes": memory,
            "kernel": re.match(r"[\d.]+", os.uname().release).group(0),
            "compiler": "g++ " + _output("g++", "-dumpfullversion"), "libraries": versions}


def format_machine(facts):
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    return (f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_bytes'] / 2**30:.0f} GiB, "
            f"Linux {facts['kernel']}, {facts['compiler']} -O2, {libraries}")


def format_table(rows):
    lines = ["| figure | limit | Qasino | ratio |", "|---|--:|--:|--:|"]
    lines += [f"| {row.figure} | {row.limit} | {row.qasino} | {row.ratio} |" for row in rows]
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="testing/bench/run", description=ABOUT,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_const", const="quick", dest="size", default="full",
                        help="less of everything")
    parser.add_argument("--size", choices=sorted(SIZES), default="full", help=argparse.SUPPRESS)
    parser.add_argument("--figures", metavar="NAME", nargs="+", choices=list(Bench.FIGURES),
                        default=list(Bench.FIGURES), help="only these of: %(choices)s")
    parser.add_argument("--renew-instructions", action="store_true",
                        help="make this run's counts of instructions the record")
    parser.add_argument("--record", default=RECORD, help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="write all samples to this file")
    parser.add_argument("--binaries", default="bazel-bin", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)

    # So that the servers are ended and their folders removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    facts = machine()
    bench = Bench(os.path.abspath(options.binaries), SIZES[options.size], options.record,
                  options.renew_instructions)
    begin = time.monotonic()
    try:
        bench.run(options.figures)
    except KeyboardInterrupt:
        return 130
    print(format_machine(facts) + "\n")
    print(format_table(bench.rows))
    for remark in bench.remarks:
        print("\n" + remark)
    for failure in bench.failures:
        print(f"\ncould not be measured: {failure}")
    bench.progress(f"-- {time.monotonic() - begin:.0f} s in all")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": facts, "size": options.size, "figures": bench.samples,
                       "failures": bench.failures}, file, indent=1)
            file.write("\n")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
