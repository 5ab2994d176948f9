"""Executes a history against real processes and records what is seen."""

import collections
import contextlib
import copy
import threading
import time

import grpc

from qasino.v1 import ingest_pb2, ingest_pb2_grpc, query_pb2, snapshot_pb2
from testing.e2e import system, tables
from testing.model import history, model, recording

# Generations older than so many seconds are asked for by name.
_SETTLED_SECONDS = 4
# A mismatch that is seen while the history runs must still be there after so long.
_CONFIRM_SECONDS = 12
_CALL_SECONDS = 20
# For how long a publisher that tries again does so.
_RETRY_SECONDS = 5
_RETAIN = 1_000  # The most that a store offers.


def start(mode, directory):
    """A running Qasino whose programs are going to be restarted, and {name: program}."""
    store_flags = {"--retain": _RETAIN}
    flags = {"--shutdown-grace": "30s"}
    if mode == "standalone":
        started = system.start_standalone(directory, query_flags={**store_flags, **flags},
                                          relayed=True)
    else:
        started = system.System(directory)
        try:
            started.store = system.start_store(started, True, **store_flags, **flags)
            address = started.store.address("store")
            started.ingests = [system.start_ingest(started, name, address, True, **flags)
                               for name in ("ingest-a", "ingest-b")]
            started.query = system.start_query(started, address, True, **flags)
            for program in started.programs:
                program.wait_ready()
            started.connect()
        except BaseException:
            started.destroy()
            raise
    return started


class _Server:
    """A program that events stop, and its lives."""

    # One start at a time: while a program is waited for, no other may be ended and on its way
    # to be started, or it is taken for one that died.
    _starting = threading.Lock()

    def __init__(self, program, is_ingest):
        self.program = program
        self.lives = []
        self._channel = None
        self._is_ingest = is_ingest
        self._changed = threading.Condition()
        self._stub = None
        self._up = False

    def came_up(self, started):
        with self._changed:
            self.lives.append(recording.Life(started))
            if self._is_ingest:
                # A channel for each life, so that a call reaches this one or none.
                self._channel = grpc.insecure_channel(
                    f"127.0.0.1:{self.program.port('ingest')}",
                    [("grpc.use_local_subchannel_pool", 1)])
                self._stub = ingest_pb2_grpc.IngestStub(self._channel)
            self._up = True
            self._changed.notify_all()

    def wait_up(self, until):
        """(number of the life, stub), or None when it is not up in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._up, max(0, until - time.time())):
                return None
            return len(self.lives) - 1, self._stub

    def restart(self, kill, down):
        """Ends it and starts it again; its exit code."""
        with self._changed:
            self._up = False
            life = self.lives[-1]
            life.killed = kill
            life.ended = time.time()
        if kill:
            self.program.kill()
            code = 0
        else:
            code = self.program.terminate()
        life.gone = time.time()
        time.sleep(down)
        if self._channel is not None:
            self._channel.close()
        with self._starting:
            begun = time.time()
            self.program.start()
        self.came_up(begun)
        return code


class Runner:
    """One run of one history."""

    def __init__(self, to_run, mode, directory):
        self._history = to_run
        self._directory = directory
        self._mode = mode
        ingests = ["qasino"] if mode == "standalone" else ["ingest-a", "ingest-b"]
        self._recording = recording.Recording(ingests)
        self._lock = threading.Lock()  # of the recording
        self._stop = threading.Event()  # No more events.
        self._end = threading.Event()  # No more watching.
        self._next_index = 0
        self._newest = 0
        self._servers = {}
        self._system = None
        self.began = 0.0
        self.stops = collections.Counter()  # How often which program was ended, and how.

    def run(self, progress=None):
        """Runs it to its end, or until the model sees a mismatch; (recording, verdict)."""
        before = time.time()
        self._system = start(self._mode, self._directory)
        try:
            with system.kept(self._system):
                return self._run(before, progress)
        finally:
            self._end.set()

    def _run(self, before, progress):
        for program in self._system.programs:
            ingest = next((number for number, each in enumerate(self._system.ingests)
                           if each is program), None)
            server = self._servers[program.name] = _Server(program, ingest is not None)
            if ingest is not None:
                self._recording.ingest_lives[ingest] = server.lives
            if program is self._system.store:
                self._recording.store_lives = server.lives
            server.came_up(before)
        # Generations begin at whole seconds.
        self.began = float(int(time.time()) + 1)
        watching = [threading.Thread(target=target, daemon=True)
                    for target in (self._watch, self._capture_newest, self._capture_settled)]
        acting = [threading.Thread(target=self._act, args=(events,), daemon=True)
                  for events in self._timelines()]
        for thread in watching + acting:
            thread.start()
        suspicion = None
        while any(thread.is_alive() for thread in acting):
            self._pause(10)
            verdict = self.judge(time.time() - _CONFIRM_SECONDS)
            if progress:
                progress(verdict)
            if verdict.mismatches or self._recording.faults:
                now = time.time()
                suspicion = suspicion or now
                if now - suspicion > _CONFIRM_SECONDS:
                    self._stop.set()
            else:
                suspicion = None
            for thread in acting:
                thread.join(0.01)
        last = self._settle()
        self._end.set()
        for thread in watching:
            thread.join(system.DEADLINE)
        return self._recording, self.judge(last)

    def _pause(self, seconds):
        self._stop.wait(min(seconds, max(
            0.2, self.began + self._history.generations - time.time())))

    def judge(self, until):
        with self._lock:
            seen = copy.copy(self._recording)
            for name, value in vars(seen).items():
                setattr(seen, name, copy.copy(value))
        # Nothing is judged that was answered after what is compared.
        return model.judge(seen, until)

    def _fault(self, words):
        with self._lock:
            self._recording.faults.append(words)
        self._stop.set()

    # What the events do.

    def _timelines(self):
        """The events in lists whose members follow one another: those of a table, and those
        of a program."""
        timelines = {}
        for event in self._history.events:
            key = ("stop", event.program) if isinstance(event, history.Stop) else (
                "table", event.table.lower())
            timelines.setdefault(key, []).append(event)
        return list(timelines.values())

    def _act(self, events):
        for event in events:
            if self._stop.wait(max(0.0, self.began + event.at - time.time())):
                return
            try:
                if isinstance(event, history.Stop):
                    self._restart(event)
                elif isinstance(event, history.Publish):
                    self._publish(event)
                else:
                    self._drop(event)
            except AssertionError as error:
                self._fault(str(error))

    def _restart(self, event):
        code = self._servers[event.program].restart(event.kill, event.down)
        name = f"{event.program} {'killed' if event.kill else 'asked to end'}"
        self.stops[name] += 1
        if code != 0:
            self._fault(f"{event.program} ended with code {code} after SIGTERM")

    def _store_server(self):
        return self._servers[self._system.store.name]

    def _publish(self, event):
        ingest = event.ingest if event.ingest < len(self._system.ingests) else 0
        server = self._servers[self._system.ingests[ingest].name]
        request = ingest_pb2.PublishRequest(
            identity=event.identity,
            table=tables.table(event.table, {name: (type_, cells)
                                             for name, type_, cells in event.columns}),
            update=event.sort in (history.UPDATE, history.UPDATE_PERSIST),
            persist=event.sort in (history.PERSIST, history.UPDATE_PERSIST),
            keycols=event.keycols)
        if event.sort == history.STATIC:
            setattr(request, "static", True)
        until = time.time() + _RETRY_SECONDS
        while not self._stop.is_set():
            up = server.wait_up(until)
            if up is None:
                return
            number, stub = up
            code = self._call(event, (ingest, number), stub.Publish, request)
            if code != "UNAVAILABLE" or not event.retry:
                return
            if event.sort not in (history.PLAIN, history.UPDATE):
                self._store_server().wait_up(until)
            time.sleep(0.1)
            if time.time() > until:
                return

    def _drop(self, event):
        if self._store_server().wait_up(time.time() + _RETRY_SECONDS) is None:
            return
        store = self._system.client.store
        if isinstance(event, history.DropStatic):
            request = snapshot_pb2.DropStaticTableRequest(table_name=event.table)
            self._call(event, None, store.DropStaticTable, request)
            return
        request = snapshot_pb2.DropPersistentTableRequest(
            identity=event.identity, table_name=event.table)
        if event.ahead:
            request.generation = int(time.time()) + event.ahead
        self._call(event, None, store.DropPersistentTable, request)

    def _call(self, event, instance, method, request):
        """Calls and records the answer; its code."""
        with self._lock:
            index = self._next_index
            self._next_index += 1
            newest = self._newest
        sent = time.time()
        code, message, response = "OK", "", None
        try:
            response = method(request, timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            code, message = error.code().name, error.details() or ""
        except ValueError as error:  # The channel was closed: its process is gone.
            code, message = "UNAVAILABLE", f"failed to connect: {error}"
        answered = time.time()
        generation = getattr(response, "generation", 0)
        if isinstance(event, history.DropPersistent):
            generation = request.generation
        attempt = recording.Attempt(
            index=index, event=event, instance=instance, sent=sent, answered=answered, code=code,
            message=message, generation=generation,
            duplicate=getattr(response, "duplicate", False), newest=newest)
        with self._lock:
            self._recording.attempts.append(attempt)
        return code

    # What is seen.

    def _watch(self):
        """Every snapshot that the store tells of."""
        while not self._end.is_set():
            with contextlib.suppress(grpc.RpcError):
                for response in self._system.client.store.WatchSnapshots(
                        snapshot_pb2.WatchSnapshotsRequest()):
                    if response.HasField("manifest"):
                        self._add_manifest(response.manifest, as_newest=True)
                    if self._end.is_set():
                        return
            time.sleep(0.02)

    def _add_manifest(self, message, as_newest):
        seen = time.time()
        shards = tuple(
            recording.Shard(
                shard_id=shard.shard_id, kind=snapshot_pb2.ShardKind.Name(shard.kind),
                identity=shard.identity, ingest_id=shard.ingest_id,
                sealed_at=shard.sealed_at.seconds + shard.sealed_at.nanos * 1e-9,
                tables={table.name.lower(): recording.ShardTable(
                    columns=tuple((column.name.lower(), column.type)
                                  for column in table.columns),
                    rows=table.rows, updates=table.updates, updated=table.updated)
                        for table in shard.tables})
            for shard in message.shards)
        with self._lock:
            self._newest = max(self._newest, message.generation)
            self._recording.add_manifest(
                recording.Manifest(message.generation, message.revision, message.complete,
                                   shards, seen, message.committed_at.seconds
                                   + message.committed_at.nanos * 1e-9), as_newest)

    def _query(self, sql, **options):
        request = query_pb2.QueryRequest(sql=sql, **options)
        return tables.read_answer(
            self._system.client.query_stub.Query(request, timeout=_CALL_SECONDS))

    def _capture(self, note=lambda info: None, **options):
        """The whole snapshot; None when another took its place meanwhile."""
        listing = self._query("SELECT tablename, nr_rows, static FROM qasino_server_tables "
                              "WHERE substr(lower(tablename), 1, 14) <> 'qasino_server_'",
                              **options)
        key = (listing.snapshot.generation, listing.snapshot.revision)
        note(listing.snapshot)
        if key in self._recording.snapshots and not options:
            return None
        contents = {}
        for name, _, _ in listing.rows:
            answer = self._query(f'SELECT * FROM "{name}"', **options)
            note(answer.snapshot)
            if (answer.snapshot.generation, answer.snapshot.revision) != key:
                return None
            contents[name.lower()] = recording.Table(
                columns=tuple((column.lower(), type_)
                              for column, type_ in zip(answer.columns, answer.types)),
                rows=tuple(answer.rows))
        return recording.Snapshot(
            *key, contents, {name.lower(): (rows, bool(static))
                             for name, rows, static in listing.rows})

    def _note_newest(self, snapshot):
        with self._lock:
            seen = (snapshot.generation, snapshot.revision)
            if not self._recording.newest_seen or self._recording.newest_seen[-1][1:] != seen:
                self._recording.newest_seen.append((time.time(), *seen))

    def _capture_newest(self):
        while not self._end.is_set():
            try:
                snapshot = self._capture(self._note_newest)
            except grpc.RpcError as error:
                # The snapshot may have gone between the list and the table.
                if error.code() not in (grpc.StatusCode.UNAVAILABLE,
                                        grpc.StatusCode.INVALID_ARGUMENT,
                                        grpc.StatusCode.CANCELLED):
                    self._fault(f"the newest snapshot: {error.code().name}: {error.details()}")
                snapshot = None
            if snapshot is not None:
                with self._lock:
                    self._recording.add_snapshot(snapshot)
            time.sleep(0.1)

    def _capture_settled(self):
        while not self._end.is_set():
            self._capture_held(time.time() - _SETTLED_SECONDS)
            time.sleep(0.5)

    def _capture_held(self, until):
        """Captures the newest revisions of all generations up to a time, as far as they are
        not captured yet; True when none is left."""
        store = self._system.client.store
        whole = True
        try:
            listed = store.ListGenerations(snapshot_pb2.ListGenerationsRequest(),
                                           timeout=_CALL_SECONDS).generations
            for each in reversed(listed):
                if each.generation > until or not each.generation:
                    continue
                key = (each.generation, each.revision)
                if key not in self._recording.manifests:
                    self._add_manifest(store.GetManifest(
                        snapshot_pb2.GetManifestRequest(generation=each.generation),
                        timeout=_CALL_SECONDS), as_newest=False)
                if key not in self._recording.snapshots:
                    snapshot = self._capture(generation=each.generation)
                    if snapshot is None or (snapshot.generation, snapshot.revision) != key:
                        whole = False
                    if snapshot is not None:
                        with self._lock:
                            self._recording.add_snapshot(snapshot)
        except grpc.RpcError as error:
            # A revision may take the place of another while it is asked for.
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
                                    grpc.StatusCode.NOT_FOUND):
                self._fault(f"a named generation: {error.code().name}: {error.details()}")
            return False
        return whole

    def _settle(self):
        """Waits until everything that was sealed is in snapshots, and these are captured; the
        last generation of which that is so."""
        last = int(time.time())
        system.wait_for(lambda: self._newest >= last + 2 or self._recording.faults,
                        f"a snapshot of a generation after {last}")
        system.wait_for(lambda: self._capture_held(last + 1) or self._recording.faults,
                        "every generation that the store holds can be queried")
        return last + 1
