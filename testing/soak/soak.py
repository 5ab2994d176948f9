"""Puts a load on a running Qasino for minutes or hours, and shows whether memory, file
descriptors and threads stay as they are.

The load has everything that leaves something behind when it is done wrong: tables of many
identities every generation, some with new columns, updates, persistent and static tables,
dropped again; queries of every kind, of retained generations and of the running one,
cancelled ones and ones that run into their limits.
"""

import argparse
import collections
import contextlib
import os
import random
import statistics
import sys
import tempfile
import threading
import time

import grpc

from qasino.v1 import ingest_pb2, query_pb2, snapshot_pb2, table_pb2
from testing.e2e import system

COUNTS = collections.Counter()


def counted(sort, call):
    """Calls, and counts what came of it; what the call returned, or None."""
    try:
        value = call()
    except grpc.RpcError as error:
        COUNTS[f"{sort}: {error.code().name}"] += 1
        return None
    COUNTS[f"{sort}: OK"] += 1
    return value


def table(name, rows, columns, domain="example"):
    return table_pb2.Table(name=name, columns=[
        table_pb2.Column(name="host", type=table_pb2.TEXT,
                         texts=[f"host{i}.{domain}" for i in range(rows)]),
        *(table_pb2.Column(name=column, type=table_pb2.INTEGER,
                           integers=[random.randrange(1 << 40) for _ in range(rows)])
          for column in columns)])


class Load:
    """The threads that publish and query until they are told to stop."""

    def __init__(self, running):
        self._system = running
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=target, args=arguments, daemon=True)
                         for target, arguments in (
                             *((self._publish, (i,)) for i in range(4)),
                             (self._keep, ()),
                             *((self._query, ()) for _ in range(3)),
                             (self._misbehave, ()))]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(system.DEADLINE)

    def _client(self):
        started = self._system
        return system.Client([each.address("ingest") for each in started.ingests],
                             started.query.address("query"), started.store.address("store"))

    def _publish(self, number):
        client = self._client()
        turn = 0
        while not self._stop.wait(0.05):
            turn += 1
            stub = client.ingests[(number + turn) % len(client.ingests)]
            # A column that comes and goes.
            request = ingest_pb2.PublishRequest(
                identity=f"publisher{number}-{turn % 50}",
                table=table(f"plain{turn % 7}", 200, ["a", "b", f"c{turn % 20}"]))
            counted("publish", lambda: stub.Publish(request, timeout=system.DEADLINE))
            request = ingest_pb2.PublishRequest(
                identity=f"updater{number}", table=table("updated", 5, ["a"]), update=True,
                keycols=["host"])
            counted("update", lambda: stub.Publish(request, timeout=system.DEADLINE))

    def _keep(self):
        client = self._client()
        turn = 0
        while not self._stop.wait(0.2):
            turn += 1
            stub = client.ingests[turn % len(client.ingests)]
            # Each has hosts of its own: rows that another's update takes over stay with that one,
            # and the tables would grow for ever.
            keeper = f"keeper{turn % 20}"
            kept = ingest_pb2.PublishRequest(
                identity=keeper, table=table(f"kept{turn % 5}", 50, ["a", "b"], keeper),
                persist=True, update=turn % 3 == 0)
            if kept.update:
                kept.keycols.append("host")
            counted("persist", lambda: stub.Publish(kept, timeout=system.DEADLINE))
            if turn % 5 == 0:
                static = ingest_pb2.PublishRequest(identity="static", static=True,
                                                   table=table(f"static{turn % 3}", 20, ["a"]))
                counted("static", lambda: stub.Publish(static, timeout=system.DEADLINE))
            if turn % 40 == 0:
                drop = snapshot_pb2.DropStaticTableRequest(table_name=f"static{turn // 40 % 3}")
                counted("drop static",
                        lambda: client.store.DropStaticTable(drop, timeout=system.DEADLINE))

    def _query(self):
        client = self._client()
        statements = [
            "SELECT count(*), sum(a), max(b) FROM plain1",
            "SELECT host, a FROM plain2 ORDER BY a LIMIT 100",
            "SELECT * FROM kept1 JOIN static1 USING (host)",
            "SELECT * FROM updated",
            "SHOW TABLES", "SHOW CONNECTIONS", "SHOW GENERATIONS", "DESC plain1",
            "SELECT tablename, column_name FROM qasino_server_columns",
        ]
        turn = 0
        while not self._stop.wait(0.01):
            turn += 1
            sql = random.choice(statements)
            counted("query", lambda: client.query(sql))
            if turn % 50 == 0:
                newest = counted("query", client.generation)
                if newest:
                    counted("query of a retained generation", lambda: client.query(
                        "SELECT count(*) FROM qasino_server_tables",
                        generation=newest - random.randrange(1, 9)))
            if turn % 100 == 0:
                counted("query of the running generation",
                        lambda: client.query("SELECT count(*) FROM plain1", running=True))

    def _misbehave(self):
        client = self._client()
        endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
        while not self._stop.wait(1):
            counted("query over its time", lambda: client.query(
                endless + "SELECT sum(n) FROM c", timeout=0.2))
            counted("query over its memory", lambda: client.query(
                endless + "SELECT group_concat(hex(randomblob(100000))) FROM c", timeout=2))
            call = client.query_stub.Query(query_pb2.QueryRequest(sql=endless + "SELECT n FROM c"))
            with contextlib.suppress(grpc.RpcError):
                next(iter(call))
            call.cancel()
            COUNTS["query cancelled"] += 1
            stub = client.ingests[0]
            counted("bad publish", lambda: stub.Publish(ingest_pb2.PublishRequest(
                identity="bad", table=table_pb2.Table(name="1bad")), timeout=system.DEADLINE))
            # Streams that end in the middle.
            publish = ingest_pb2.PublishRequest(identity="cut", table=table("cut", 10, ["a"]))
            stream = stub.PublishStream(
                iter([ingest_pb2.PublishStreamRequest(publishes=[publish])]))
            with contextlib.suppress(grpc.RpcError):
                next(iter(stream))
            stream.cancel()


Sample = collections.namedtuple("Sample", "seconds rss_mib fds threads")


def sample(pid, began):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        fields = dict(line.split(":", 1) for line in status)
    return Sample(time.monotonic() - began, int(fields["VmRSS"].split()[0]) / 1024,
                  len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"]))


def report(samples):
    """Prints each program's beginning, middle and end; the medians of quarters of the time,
    without the first, in which caches fill."""
    print(f"{'program':10}  {'':9}  {'2nd quarter':>11}  {'3rd':>8}  {'4th':>8}  {'growth':>7}")
    for name, taken in samples.items():
        quarter = len(taken) // 4
        for what in ("rss_mib", "fds", "threads"):
            values = [statistics.median(getattr(each, what) for each in part)
                      for part in (taken[quarter:2 * quarter], taken[2 * quarter:3 * quarter],
                                   taken[3 * quarter:])]
            growth = (values[2] / values[0] - 1) * 100
            print(f"{name:10}  {what:9}  {values[0]:11.0f}  {values[1]:8.0f}  {values[2]:8.0f}"
                  f"  {growth:+6.1f}%")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--mode", choices=sorted(system.MODES), default="processes")
    arguments = parser.parse_args()
    began = time.monotonic()
    samples = collections.defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="qasino-soak-") as directory:
        started = system.MODES[arguments.mode](
            directory, query_flags={"--max-query-memory": "32MiB", "--query-timeout": "5s"})
        with system.kept(started):
            load = Load(started)
            while time.monotonic() - began < arguments.minutes * 60:
                time.sleep(2)
                started.check_alive()
                for program in started.programs:
                    samples[program.name].append(sample(program.pid, began))
                if len(samples[started.programs[0].name]) % 15 == 0:
                    line = ", ".join(f"{name} {taken[-1].rss_mib:.0f} MiB {taken[-1].fds} fds"
                                     for name, taken in samples.items())
                    print(f"{time.monotonic() - began:5.0f} s: {line}", flush=True)
            load.stop()
    for sort, count in sorted(COUNTS.items()):
        print(f"{count:9}  {sort}")
    report(samples)


if __name__ == "__main__":
    sys.exit(main())
