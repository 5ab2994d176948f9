"""A process that dies at any step of sealing and committing leaves nothing behind that a
restart does not put right.

Each point at which the programs of this folder can die (services/*/failpoints.h) is a case, in
both modes: publishers publish until the process dies there, an ordinary one is started in its
place, and then

  - the newest whole snapshot is served, and no older one than was seen before,
  - no temporary file stays, and nothing was set aside as damaged,
  - nothing acknowledged as persistent or static is missing,
  - generations go on.

The cases of a mode run side by side, because each of them mostly waits for generations.
"""

import concurrent.futures
import contextlib
import glob
import os
import re
import sqlite3
import threading

import grpc
import pytest

from qasino.v1 import ingest_pb2, snapshot_pb2
from testing.e2e import system, tables

AT_A_TIME = 6

STORE = "testing/failpoints/qasino-store-failpoints"
INGEST = "testing/failpoints/qasino-ingest-failpoints"
STANDALONE = "testing/failpoints/qasino-failpoints"


def points(part):
    with open(f"services/{part}/failpoints.h", encoding="ascii") as file:
        return re.findall(rf'"({part}/[a-z-]+)"', file.read())


STORE_POINTS = points("store")
POINTS = STORE_POINTS + points("ingest")
CASES = [(mode, point) for mode in sorted(system.MODES) for point in POINTS]
# Passed at the first start, before anything is published.
AT_START = ("store/id-", "store/rewrite-")
# Passed so seldom that the first time must do.
SELDOM = (*AT_START, "store/retire-", "store/archive-", "store/made-")


class Crash:
    """One case."""

    def __init__(self, mode, point, directory):
        self.mode = mode
        self.point = point
        self.started = system.System(directory)
        self.data_dir = os.path.join(directory, "data")
        self.archive_dir = os.path.join(directory, "archive")
        self.store_flags = {"--retain": 2, "--archive-dir": self.archive_dir}
        self.victim = None
        # What was acknowledged.
        self.persistent = set()
        self.static = set()
        self.last = 0  # the newest generation of these
        self.seen = 0  # the newest snapshot that was served

    def run(self):
        try:
            self._start()
            self._publish_until_it_dies()
            self._restart()
            self._check()
            self.started.stop()
        except BaseException:
            self.started.destroy()
            system.print_logs(self.started)
            raise
        finally:
            self.started.destroy()

    def _program(self, name, binary, flags, relays, dies=False):
        environment = {"QASINO_FAILPOINT": self._asked()} if dies else None
        program = system.Program(name, binary, {f"--{relay}-port": 0 for relay in relays} | flags,
                                 self.started.directory, environment, relays)
        self.started.programs.append(program)
        if dies:
            self.victim = program
            with contextlib.suppress(AssertionError):
                program.start()
        else:
            program.start()
        return program

    def _asked(self):
        return self.point if self.point.startswith(SELDOM) else f"{self.point}:3"

    def _start(self):
        started = self.started
        if self.mode == "standalone":
            program = self._program("qasino", STANDALONE, {
                **system.NO_DOORS, "--metrics-port": 0, "--generation-duration": "1s",
                "--data-dir": self.data_dir, **self.store_flags},
                ["ingest", "store", "query"], dies=True)
            started.ingests, started.store, started.query = [program], program, program
        else:
            in_store = self.point in STORE_POINTS
            started.store = self._program(
                "store", STORE if in_store else system.STORE,
                {"--metrics-port": 0, "--data-dir": self.data_dir, **self.store_flags},
                ["store"], dies=in_store)
            address = started.store.address("store")
            started.ingests = [self._program(
                "ingest", system.INGEST if in_store else INGEST,
                {"--metrics-port": 0, "--generation-duration": "1s", "--store": address},
                ["ingest"], dies=not in_store)]
            started.query = self._program(
                "query", system.QUERY, {"--metrics-port": 0, "--store": address,
                                        "--ingest": started.ingests[0].address("ingest")},
                ["query"])
        started.connect()

    def _publish(self, identity, table, **options):
        """The answer, or None: the process may be gone at any moment."""
        try:
            return self.started.client.ingests[0].Publish(
                ingest_pb2.PublishRequest(identity=identity, table=table, **options), timeout=5)
        except grpc.RpcError:
            return None

    def _publish_until_it_dies(self):
        watching = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(watching,), daemon=True)
        watcher.start()
        number = 0

        def died():
            nonlocal number
            if self.victim.exit_code() is not None:
                return True
            number += 1
            row = {"n": (tables.INTEGER, [number])}
            self._publish(f"plain{number}", tables.table("plain", row))
            answer = self._publish(f"keeper{number}", tables.table("kept", row), persist=True)
            if answer:
                self.persistent.add(number)
                self.last = max(self.last, answer.generation)
            if number % 3 == 0:
                name = f"static{number}"
                if self._publish("static", tables.table(name, row), static=True):
                    self.static.add(name)
            return False

        system.wait_for(died, f"the process dies at {self.point}")
        watching.set()
        watcher.join()
        assert self.victim.exit_code() == -9, (
            f"it ended with {self.victim.exit_code()} instead of dying at {self.point}")

    def _watch(self, stop):
        while not stop.wait(0.05):
            answer = None
            with contextlib.suppress(grpc.RpcError):
                answer = self.started.client.query("SELECT 1", timeout=5)
            if answer:
                self.seen = max(self.seen, answer.generation)

    def _restart(self):
        victim = self.victim
        victim.binary = {STORE: system.STORE, INGEST: system.INGEST,
                         STANDALONE: system.STANDALONE}[victim.binary]
        del victim.environment["QASINO_FAILPOINT"]
        victim.start().wait_ready()

    def _check(self):
        client = self.started.client
        assert not glob.glob(f"{self.data_dir}/damaged/*"), "nothing is damaged by a crash"
        generations = system.when_available(
            client.store.ListGenerations, snapshot_pb2.ListGenerationsRequest()).generations
        newest = max((each.generation for each in generations), default=0)
        assert newest >= self.seen, f"{self.seen} was served before, and now {newest}"
        for generation in generations:
            self._check_snapshot(generation.generation)

        # Generations go on, with all that was acknowledged for good.
        answer = client.query_until(
            "SELECT tablename FROM qasino_server_tables",
            lambda it: it.generation > max(self.last, newest) and self.static <= set(
                it.column("tablename")))
        assert answer.generation > self.seen
        if self.persistent:
            numbers = client.query("SELECT n FROM kept").column("n")
            assert len(numbers) == len(set(numbers))
            assert self.persistent <= set(numbers)
        for name in self.static:
            assert client.query(f"SELECT n FROM {name}").rows == [(int(name[len("static"):]),)]
        self._check_no_temporary_files()

    def _check_snapshot(self, generation):
        """Each of its shards is there, whole."""
        client = self.started.client
        try:
            manifest = client.store.GetManifest(
                snapshot_pb2.GetManifestRequest(generation=generation), timeout=system.DEADLINE)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND  # It has retired meanwhile.
            return
        for shard in manifest.shards:
            path = f"{self.data_dir}/generations/{generation}/{shard.shard_id}.sqlite"
            with contextlib.suppress(sqlite3.OperationalError):  # As above.
                with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1",
                                                        uri=True)) as database:
                    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def _check_no_temporary_files(self):
        """What is being written now goes away by itself."""
        system.wait_for(
            lambda: not glob.glob(f"{self.data_dir}/incoming/*") and not glob.glob(
                f"{self.archive_dir}/.*.tmp"), "no temporary file is left")
        known = {"lock", "store-id", "tables.journal", "generations", "incoming", "damaged"}
        assert set(os.listdir(self.data_dir)) <= known


@pytest.fixture(scope="module")
def crashes(request, tmp_path_factory):
    """The cases that were asked for: {(mode, point): future}."""
    asked = [tuple(item.callspec.params[name] for name in ("mode", "point"))
             for item in request.session.items]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {case: pool.submit(Crash(*case, str(tmp_path_factory.mktemp("crash"))).run)
               for case in asked}


@pytest.mark.parametrize("mode, point", CASES)
def test_killed_at_any_step_nothing_acknowledged_for_good_is_lost(crashes, mode, point):
    crashes[(mode, point)].result()
