"""Qasino's programs as real processes with real sockets, for tests.

Every program gets free ports and a folder of its own, so tests may run side by side. Nothing
here waits for a time to pass: it waits for a condition, and fails when DEADLINE is over.
"""

import collections
import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request

import grpc
from google.protobuf import wrappers_pb2

from qasino.v1 import (ingest_pb2, ingest_pb2_grpc, query_pb2, query_pb2_grpc, snapshot_pb2,
                       snapshot_pb2_grpc)
from testing.e2e import tables

# Far beyond what anything takes, even on a busy machine with sanitizers.
DEADLINE = 60.0

INGEST = "services/ingest/qasino-ingest"
STORE = "services/store/qasino-store"
QUERY = "services/query/qasino-query"
STANDALONE = "services/standalone/qasino"
SQL_CLIENT = "clients/sql/qasinosql"
PUBLISH_CLIENT = "clients/publish/qasino-publish"


# The standalone program without the legacy doors, which have ports of their own.
NO_DOORS = {"--http-port": "off", "--https-port": "off", "--zmq-port": "off",
            "--pubsub-port": "off", "--line-port": "off"}

running = []  # the systems that tests have started: see kept()


def wait_for(condition, what):
    """The first true value of condition(), asked again and again.

    Fails at once when a program of a system has died."""
    end = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value:
            return value
        for started in running:
            started.check_alive()
        if time.monotonic() > end:
            raise AssertionError(f"not within {DEADLINE:.0f} s: {what}")
        time.sleep(0.02)


def _clean_environment(changes=None):
    """The test's own, without what would configure Qasino, and with `changes`."""
    result = {key: value for key, value in os.environ.items() if not key.startswith("QASINO_")}
    result.update(changes or {})
    return result


class Relay:
    """A port that stays while the program behind it is restarted on other ports.

    A restarted program cannot have its old port for certain: meanwhile the kernel may have
    given it to another process that asked for a free one. While nothing is behind the relay,
    its connections end at once."""

    def __init__(self):
        self.behind = None  # the port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # close()
            try:
                far = socket.create_connection(("127.0.0.1", self.behind or 1), DEADLINE)
            except OSError:
                near.close()
                continue
            for source, sink in ((near, far), (far, near)):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                source.settimeout(None)
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.close()


class Program:
    """A server process. Restarted, it takes new ports; a program made with `relays` is still
    reached at the same addresses."""

    def __init__(self, name, binary, flags, directory, environment=None, relays=()):
        """flags: {"--flag": value}. relays: of "ingest", "store", "query", those that have a
        Relay."""
        self.name = name
        self.binary = binary
        self.flags = dict(flags)
        self.environment = _clean_environment(environment)
        self.ports = {}  # "ingest", "store", "query", "metrics": where it listens
        self._relays = {what: Relay() for what in relays}
        self._log_path = os.path.join(directory, name + ".log")
        self._process = None
        self._to_end = False  # A test has asked it to.
        self._lines = []
        self._changed = threading.Condition()
        self._reader = None

    def start(self):
        """Starts it and waits until it listens on every port that it has."""
        self._spawn()
        wait_for(lambda: self._listens() or self.exit_code() is not None,
                 f"{self.name} listens or ends")
        assert self._listens(), f"{self.name} ended with code {self.exit_code()} before it listened"
        for what, relay in self._relays.items():
            relay.behind = self.ports[what]
        return self

    def _spawn(self):
        self._to_end = False
        self._lines = []
        self.ports = {}
        command = [self.binary]
        for flag, value in self.flags.items():
            command += [flag, str(value)]
        with open(self._log_path, "a", encoding="utf-8") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                             stdout=subprocess.PIPE, stderr=log, text=True,
                                             env=self.environment)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process):
        for line in process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                match = re.fullmatch(r"listening: (\S+) (\S+) (\S+):(\d+)", line.strip())
                if match:
                    self.ports[match.group(1)] = int(match.group(4))
        process.stdout.close()

    def _listens(self):
        wanted = {flag[2:-len("-port")] for flag, value in self.flags.items()
                  if flag.endswith("-port") and value != "off"}
        with self._changed:
            return wanted <= set(self.ports)

    def printed(self):
        """The lines of standard output."""
        with self._changed:
            return list(self._lines)

    def log(self):
        with open(self._log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_ready(self):
        wait_for(lambda: "ready" in self.printed() or self.exit_code() is not None,
                 f"{self.name} is ready")
        assert self.exit_code() is None, f"{self.name} ended instead of getting ready"
        return self

    def exit_code(self):
        """None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return self._process is not None and self._process.poll() is None

    def died(self):
        """It ended, and no test has asked it to."""
        return not self._to_end and self.exit_code() is not None

    def signal(self, number):
        self._to_end = True
        self._process.send_signal(number)

    def terminate(self):
        """Asks it to end and waits; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        try:
            code = self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {DEADLINE:.0f} s") from None
        self._reader.join(DEADLINE)
        return code

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()

    @contextlib.contextmanager
    def paused(self):
        """It does nothing, and its connections stay up, for the length of a `with`."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def port(self, what):
        return self.ports[what]

    def address(self, what):
        relay = self._relays.get(what)
        return f"127.0.0.1:{relay.port if relay else self.ports[what]}"

    def close_relays(self):
        for relay in self._relays.values():
            relay.close()

    def http(self, path):
        """(status, body) of a GET on the metrics port."""
        try:
            with urllib.request.urlopen(f"http://{self.address('metrics')}{path}",
                                        timeout=DEADLINE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self, what, service=""):
        """What grpc.health.v1 says of a service; "" is all of them."""
        # Debian has no Python package of it; its messages have one field each, the same as
        # these well-known ones.
        with grpc.insecure_channel(self.address(what)) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=wrappers_pb2.StringValue.SerializeToString,
                response_deserializer=wrappers_pb2.Int32Value.FromString)
            status = check(wrappers_pb2.StringValue(value=service), timeout=DEADLINE,
                           wait_for_ready=True).value
        return {1: "SERVING", 2: "NOT_SERVING"}.get(status, f"status {status}")


def when_available(method, request):
    """A unary call that is tried again while it ends with UNAVAILABLE."""

    def attempt():
        try:
            return (method(request, timeout=DEADLINE, wait_for_ready=True),)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return None

    return wait_for(attempt, "an answer other than UNAVAILABLE")[0]


def read_shard(stream):
    """(info, SQLite connection) of a shard that is sent as GetShard does."""
    info = None
    image = bytearray()
    for response in stream:
        if response.HasField("info"):
            assert info is None, "a second info came"
            info = response.info
        else:
            assert response.chunk.offset == len(image), "the bytes are not in order"
            image += response.chunk.data
    assert info is not None and info.size_bytes == len(image)
    connection = sqlite3.connect(":memory:")
    connection.deserialize(bytes(image))
    return info, connection


class Client:
    """Publishes and queries with nothing but the stubs generated from proto/."""

    def __init__(self, ingest_addresses, query_address, store_address=None):
        # A reconnect must not wait for gRPC's long backoff.
        options = [("grpc.max_reconnect_backoff_ms", 500),
                   ("grpc.initial_reconnect_backoff_ms", 50),
                   ("grpc.max_receive_message_length", -1),
                   ("grpc.max_send_message_length", -1),
                   # A channel of its own: another's backoff is not shared.
                   ("grpc.use_local_subchannel_pool", 1)]
        self._channels = []

        def channel(address):
            self._channels.append(grpc.insecure_channel(address, options))
            return self._channels[-1]

        self.ingests = [ingest_pb2_grpc.IngestStub(channel(each)) for each in ingest_addresses]
        self.query_stub = query_pb2_grpc.QueryStub(channel(query_address))
        self.store = store_address and snapshot_pb2_grpc.SnapshotStoreStub(channel(store_address))

    def close(self):
        for channel in self._channels:
            channel.close()

    def publish(self, identity, table, ingest=0, **options):
        """Publishes and returns the response. As publishers may, it tries again while the
        process is away."""
        request = ingest_pb2.PublishRequest(identity=identity, table=table, **options)
        return when_available(self.ingests[ingest].Publish, request)

    def try_publish(self, identity, table, ingest=0, **options):
        """The response, or None when the publish is refused."""
        try:
            return self.publish(identity, table, ingest, **options)
        except grpc.RpcError:
            return None

    def query(self, sql, timeout=DEADLINE, **options):
        """The whole answer."""
        request = query_pb2.QueryRequest(sql=sql, **options)
        return tables.read_answer(
            self.query_stub.Query(request, timeout=timeout, wait_for_ready=True))

    def try_query(self, sql, **options):
        """The answer, or None when the statement fails, as for a table not there yet."""
        try:
            return self.query(sql, **options)
        except grpc.RpcError:
            return None

    def query_until(self, sql, holds=lambda answer: answer.rows, **options):
        """The first answer for which `holds`, over as many snapshots as it takes."""

        def attempt():
            answer = self.try_query(sql, **options)
            return answer if answer is not None and holds(answer) else None

        return wait_for(attempt, f"an answer to {sql!r}")

    def generation(self):
        """The newest snapshot's generation."""
        return self.query("SELECT 1").generation

    def wait_for_generation(self, generation):
        """Waits until the newest snapshot is of that generation, or later; its number."""
        return wait_for(lambda: max(self.generation(), generation - 1) >= generation
                        and self.generation(), f"a snapshot of generation {generation}")

    def manifest(self, generation=0):
        """What the store says of a generation, 0: of the newest; None while it does not hold
        it."""
        try:
            return when_available(self.store.GetManifest,
                                  snapshot_pb2.GetManifestRequest(generation=generation))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return None

    def whole_manifest(self, generation):
        """The manifest of a generation, when every ingest process has handed in its shard."""

        def attempt():
            manifest = self.manifest(generation)
            return manifest if manifest is not None and manifest.complete else None

        return wait_for(attempt, f"the whole of generation {generation}")

    def answer_of(self, generation, sql, revision=None, **options):
        """The answer from the snapshot of that very generation, when it is whole, or has that
        revision."""
        if revision is None:
            revision = self.whole_manifest(generation).revision

        def attempt():
            for snapshot in ({}, {"generation": generation}):
                try:
                    seen = self.query("SELECT 1", **snapshot).snapshot
                except grpc.RpcError as error:
                    if error.code() not in (grpc.StatusCode.NOT_FOUND,
                                            grpc.StatusCode.UNAVAILABLE):
                        raise
                    continue
                if seen.generation != generation or seen.revision < revision:
                    continue
                try:
                    answer = self.query(sql, **snapshot, **options)
                except grpc.RpcError:
                    # Right only of the snapshot that is wanted, and the newest may have
                    # changed meanwhile.
                    if snapshot or self.generation() == generation:
                        raise
                    continue
                if answer.generation == generation:
                    return answer
            return None

        return wait_for(attempt, f"the answer of generation {generation} to {sql!r}")

    def table_names_of(self, generation):
        """The tables that a generation's whole snapshot has, but for the internal ones."""
        answer = self.answer_of(generation, "SELECT tablename FROM qasino_server_tables")
        return {name for (name,) in answer.rows if not name.startswith("qasino_server_")}

    def wait_for_a_new_generation(self, ingest=0):
        """Returns when a generation has just begun; its number."""

        def attempt():
            stream = self.ingests[ingest].WatchGenerations(
                ingest_pb2.WatchGenerationsRequest(), timeout=DEADLINE, wait_for_ready=True)
            try:
                for message in stream:
                    late = message.sent_at.ToNanoseconds() / 1e9 - message.generation
                    if late < message.duration.seconds / 4:
                        return message.generation
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise  # Else the process has been restarted.
            finally:
                stream.cancel()
            return None

        return wait_for(attempt, "the beginning of a generation")

    def next_whole_generation(self):
        """Waits for a snapshot of a generation that begins from now on and is whole; its
        number. After a process was killed, all are there again that were restarted."""
        begun = max(self.publish("clock", tables.table("clock", {"a": (tables.INTEGER, [1])}),
                                 ingest).generation for ingest in range(len(self.ingests)))

        def attempt():
            manifest = self.manifest()
            return manifest and manifest.complete and manifest.generation > begun \
                and manifest.generation

        return wait_for(attempt, f"a whole generation after {begun}")

    def in_one_generation(self, *publishes):
        """Makes the calls, each of which publishes and returns the response, until all of them
        were in one generation; (generation, responses). What they do when they are made again
        in a later one must be the same."""
        while True:
            self.wait_for_a_new_generation()
            responses = [publish() for publish in publishes]
            if len({response.generation for response in responses}) == 1:
                return responses[0].generation, responses

    def running_shard(self, ingest=0):
        """(info, SQLite connection) of what an ingest process has collected so far."""
        return read_shard(self.ingests[ingest].GetRunningShard(
            ingest_pb2.GetRunningShardRequest(), timeout=DEADLINE, wait_for_ready=True))

    def generations(self):
        """Those that the store holds, newest first."""
        held = when_available(self.store.ListGenerations, snapshot_pb2.ListGenerationsRequest())
        return [each.generation for each in held.generations]

    def publish_and_query(self, identity, table, sql, ingest=0):
        """Publishes once, and asks the very snapshot of the generation that acknowledged it;
        (response, answer). Tries again when that snapshot came and went unseen."""
        while True:
            response = self.publish(identity, table, ingest)
            answer = wait_for(
                lambda: self._answer_from(response.generation, sql), f"an answer to {sql!r}")
            if answer.generation == response.generation:
                return response, answer

    def _answer_from(self, generation, sql):
        """The answer of the newest snapshot if it is of `generation` or later. One that does
        not have the table yet answers `SELECT 1` instead, and is taken only if it is later."""
        answer = self.try_query(sql)
        if answer is None:
            answer = self.try_query("SELECT 1")
            return answer if answer and answer.generation > generation else None
        return answer if answer.generation >= generation else None

    @contextlib.contextmanager
    def keeps_publishing(self, publishes):
        """Publishes tables in every generation, as publishers do, in the background.

        publishes: [(ingest, identity, table)].
        """
        stop = threading.Event()

        def run():
            while not stop.is_set():
                for ingest, identity, table in publishes:
                    with contextlib.suppress(grpc.RpcError):
                        self.ingests[ingest].Publish(
                            ingest_pb2.PublishRequest(identity=identity, table=table),
                            timeout=DEADLINE)
                stop.wait(0.1)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(DEADLINE)


def code_and_message(call):
    """The canonical code's name and the message with which a call fails."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError("the call was expected to fail, and did not")


Ended = collections.namedtuple("Ended", "code out err")


def run_program(binary, *arguments, stdin="", environment=None):
    """Runs a client program to its end."""
    done = subprocess.run([binary, *map(str, arguments)], input=stdin, capture_output=True,
                          text=True, timeout=DEADLINE, env=_clean_environment(environment), check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


class System:
    """A running Qasino: as separate processes or as one."""

    def __init__(self, directory):
        self.directory = directory
        self.programs = []
        self.client = None
        self.doors = {}  # "http", "zmq", "line": the program that has it; see doors.py

    # Which program has which part; set by the two functions that start a system.
    ingests = ()
    store = None
    query = None

    def add(self, name, binary, flags, environment=None, relays=()):
        program = Program(name, binary, flags, self.directory, environment, relays)
        self.programs.append(program)
        return program.start()

    def connect(self):
        self.client = Client([each.address("ingest") for each in self.ingests],
                             self.query.address("query"), self.store.address("store"))
        return self.client

    def door(self, what):
        """The port of "http", "https", "zmq", "pubsub" or "line"."""
        kind = {"https": "http", "pubsub": "zmq"}.get(what, what)
        return self.doors[kind].port(what)

    def check_alive(self):
        for program in self.programs:
            assert not program.died(), f"{program.name} died: code {program.exit_code()}"

    def wait_for_all_ingests(self):
        """Waits until a snapshot has a shard of each ingest process: from then on the store
        expects them all, and a complete snapshot has what all have collected."""
        collected = snapshot_pb2.COLLECTED

        def there():
            manifest = self.client.manifest()
            return manifest is not None and len(self.ingests) == sum(
                shard.kind == collected for shard in manifest.shards)

        wait_for(there, "a snapshot with a shard of each ingest process")

    def crash(self):
        """Every program dies at once, as when the power goes."""
        for program in self.programs:
            program.kill()

    def terminate(self):
        """Every program is asked to end, and ends well."""
        for program in reversed(self.programs):
            assert program.terminate() == 0, f"{program.name} ended badly"

    def restart(self):
        """Starts every program that does not run again."""
        for program in self.programs:
            if not program.running():
                program.start()
        for program in self.programs:
            program.wait_ready()

    def stop(self):
        """Ends every program; each must end well."""
        if self.client:
            self.client.close()
        self.check_alive()
        codes = {}
        for program in reversed(self.programs):
            if program.running():
                codes[program.name] = program.terminate()
        for name, code in codes.items():
            assert code == 0, f"{name} ended with code {code} after SIGTERM"

    def destroy(self):
        """Ends whatever still runs, at once."""
        for program in self.programs:
            if program.running():
                program.kill()
            program.close_relays()


def print_logs(started):
    """The ends of the programs' logs, for the report of a failed test."""
    for program in started.programs:
        lines = program.log().splitlines()
        print(f"--- log of {program.name} (its end)")
        print("\n".join(lines[-100:]))


@contextlib.contextmanager
def kept(started):
    """A system for the length of a `with`; its programs must end well."""
    running.append(started)
    try:
        yield started
        started.stop()
    except BaseException:
        started.destroy()
        print_logs(started)
        raise
    finally:
        started.destroy()
        running.remove(started)


def start_store(system, relayed=False, **flags):
    return system.add("store", STORE, {
        "--store-port": 0, "--metrics-port": 0,
        "--data-dir": os.path.join(system.directory, "data"), **flags},
        relays=["store"] if relayed else [])


def start_ingest(system, name, store_address, relayed=False, **flags):
    return system.add(name, INGEST, {
        "--ingest-port": 0, "--metrics-port": 0, "--store": store_address,
        "--generation-duration": "1s", "--identity": name, **flags},
        relays=["ingest"] if relayed else [])


def start_query(system, store_address, relayed=False, ingests=(), **flags):
    """ingests: the programs that are asked for the running generation."""
    if ingests:
        flags = {"--ingest": ",".join(each.address("ingest") for each in ingests), **flags}
    return system.add("query", QUERY, {
        "--query-port": 0, "--metrics-port": 0, "--store": store_address, **flags},
        relays=["query"] if relayed else [])


def start_processes(directory, query_flags=None, ingest_flags=None, relayed=False,
                    store_flags=None):
    """Two ingest processes, a store and a query process. relayed: they will be restarted."""
    system = System(directory)
    try:
        system.store = start_store(system, relayed, **(store_flags or {}))
        address = system.store.address("store")
        system.ingests = [start_ingest(system, name, address, relayed, **(ingest_flags or {}))
                          for name in ("ingest-a", "ingest-b")]
        ingests = ",".join(ingest.address("ingest") for ingest in system.ingests)
        system.query = start_query(system, address, relayed,
                                   **{"--ingest": ingests, **(query_flags or {})})
        for program in system.programs:
            program.wait_ready()
        system.connect()
    except BaseException:
        system.destroy()
        raise
    return system


def start_standalone(directory, query_flags=None, ingest_flags=None, environment=None,
                     relayed=False, store_flags=None):
    """The same in one process, with one ingest part."""
    system = System(directory)
    try:
        program = system.add("qasino", STANDALONE, {
            "--ingest-port": 0, "--store-port": 0, "--query-port": 0, "--metrics-port": 0,
            "--generation-duration": "1s", "--identity": "qasino",
            # Those that a test wants it says; see doors.py.
            **NO_DOORS,
            "--data-dir": os.path.join(directory, "data"),
            **(query_flags or {}), **(ingest_flags or {}), **(store_flags or {})}, environment,
            relays=["ingest", "store", "query"] if relayed else [])
        system.ingests, system.store, system.query = [program], program, program
        program.wait_ready()
        system.connect()
    except BaseException:
        system.destroy()
        raise
    return system


MODES = {"processes": start_processes, "standalone": start_standalone}
