"""What a run of a history was seen to do: the answers, the processes' lives, the snapshots.

Plain data, so that the model judges it without a process running, and tests write it by hand.
Times are Unix seconds of one machine's clock.
"""

import collections
import dataclasses
import typing

# What became of an attempt.
APPLIED = "applied"  # Acknowledged, and it counts.
NONE = "none"  # Certainly nothing was changed.
MAYBE = "maybe"  # No answer, or one that leaves it open.

# Codes that come before anything is changed.
_REFUSED = {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "RESOURCE_EXHAUSTED",
            "UNIMPLEMENTED", "PERMISSION_DENIED"}
# Words of an UNAVAILABLE that say that the call never reached who would do it, or that it
# was turned away at once.
_NOT_SENT = ("failed to connect", "is being handed to the store")


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One call that publishes or drops, and its answer."""

    index: int  # In the order of sending; those of one table never overlap.
    event: object  # history.Publish, history.DropStatic or history.DropPersistent
    instance: typing.Optional[tuple]  # (ingest, number of its start); None for drops.
    sent: float
    answered: float
    code: str  # The canonical code's name.
    message: str = ""
    generation: int = 0  # As answered; for DropPersistent as asked.
    duplicate: bool = False
    newest: int = 0  # The newest generation that was known when it was sent.

    @property
    def effect(self):
        if self.code == "OK":
            return NONE if self.duplicate else APPLIED
        if self.code in _REFUSED:
            return NONE
        if self.code == "UNAVAILABLE" and any(words in self.message for words in _NOT_SENT):
            return NONE
        return MAYBE


@dataclasses.dataclass
class Life:
    """One run of a program, from its start to its end."""

    started: float
    ended: typing.Optional[float] = None  # When the signal was sent.
    gone: typing.Optional[float] = None  # When the process was gone.
    killed: bool = False  # By SIGKILL, else it was asked to end.


@dataclasses.dataclass(frozen=True)
class ShardTable:
    """A table of a shard, as the manifest tells of it."""

    columns: tuple  # (name in lower case, type) in order
    rows: int
    updates: int
    updated: bool


@dataclasses.dataclass(frozen=True)
class Shard:
    shard_id: str
    kind: str  # COLLECTED, PERSISTENT or STATIC
    identity: str  # of the ingest process
    ingest_id: str
    sealed_at: float
    tables: dict  # name in lower case: ShardTable


@dataclasses.dataclass(frozen=True)
class Manifest:
    generation: int
    revision: int
    complete: bool
    shards: tuple  # of Shard, in order
    seen: float  # When it was seen first.
    committed: float = 0.0


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a snapshot, as a query shows it."""

    columns: tuple  # (name in lower case, type) in order
    rows: tuple  # of tuples of cells


@dataclasses.dataclass(frozen=True)
class Snapshot:
    generation: int
    revision: int
    tables: dict  # name in lower case: Table
    listed: dict  # name in lower case: (rows, static), by qasino_server_tables


class Recording:
    """Everything that was seen in one run."""

    def __init__(self, ingests):
        self.ingests = list(ingests)  # The identities of the ingest processes.
        self.attempts = []
        self.ingest_lives = [[] for _ in self.ingests]
        self.store_lives = []
        self.manifests = {}  # (generation, revision): Manifest
        self.snapshots = {}  # (generation, revision): Snapshot
        self.on_time = set()  # Shard ids that were in their generation's first revision.
        self.first_seen = {}  # (generation, shard id): when
        self.faults = []  # What the runner itself saw go wrong, in words.
        self.newest_seen = []  # (time, generation, revision) that queries answered from.

    def add_manifest(self, manifest, as_newest):
        """as_newest: it was the newest snapshot when it was seen."""
        key = (manifest.generation, manifest.revision)
        known = self.manifests.setdefault(key, manifest)
        if [each.shard_id for each in known.shards] != [each.shard_id for each in manifest.shards]:
            self.faults.append(f"manifest {key} was seen with different shards")
        for shard in manifest.shards:
            self.first_seen.setdefault((manifest.generation, shard.shard_id), manifest.seen)
            if as_newest and manifest.revision == 1:
                self.on_time.add((manifest.generation, shard.shard_id))

    def add_snapshot(self, snapshot):
        key = (snapshot.generation, snapshot.revision)
        known = self.snapshots.setdefault(key, snapshot)
        if known is snapshot:
            return True
        if difference(known, snapshot):
            self.faults.append(
                f"snapshot {key} was seen with different contents: {difference(known, snapshot)}")
        return False

    def last_manifest(self, generation):
        """The newest revision seen; None when there is none."""
        revisions = self.revisions().get(generation)
        return self.manifests[generation, max(revisions)] if revisions else None

    def announced_late(self):
        """The generations whose first revision came after that of a later generation. They
        were never the newest."""
        first = {generation: manifest.committed
                 for (generation, revision), manifest in self.manifests.items() if revision == 1}
        late = set()
        earliest = float("inf")
        for generation in sorted(first, reverse=True):
            if first[generation] > earliest:
                late.add(generation)
            earliest = min(earliest, first[generation])
        return late

    def revisions(self):
        """{generation: [revision, ...]} of the manifests."""
        result = collections.defaultdict(list)
        for generation, revision in self.manifests:
            result[generation].append(revision)
        return result

    def instance_of(self, shard):
        """The life of an ingest process in which a shard was sealed: (ingest, number)."""
        ingest = self.ingests.index(shard.identity)
        for number, life in enumerate(self.ingest_lives[ingest]):
            if life.started <= shard.sealed_at and (life.gone is None
                                                    or shard.sealed_at <= life.gone):
                return (ingest, number)
        return None

    def lines(self):
        """Everything in the order of time, for somebody who looks for the reason of a
        mismatch."""
        timed = []
        for attempt in self.attempts:
            timed.append((attempt.sent, f"{attempt} -> {attempt.effect}"))
        lives = {"store": self.store_lives, **dict(zip(self.ingests, self.ingest_lives))}
        for name, of_program in lives.items():
            for life in of_program:
                timed.append((life.started, f"{name} {life}"))
        for manifest in self.manifests.values():
            shards = ", ".join(f"{shard.kind} {shard.shard_id}" for shard in manifest.shards)
            timed.append((manifest.seen, f"manifest {manifest.generation} revision "
                          f"{manifest.revision}: {shards}"))
        return [f"{at:.4f} {words}" for at, words in sorted(timed)]


def difference(one, other):
    """What differs between two sightings of one snapshot; empty when nothing does."""
    if one.listed != other.listed:
        return f"listed {one.listed} and {other.listed}"
    for name in sorted(set(one.tables) | set(other.tables)):
        first, second = one.tables.get(name), other.tables.get(name)
        if first is None or second is None:
            return f"table {name} is in one of them only"
        if [column for column, _ in first.columns] != [column for column, _ in second.columns]:
            return f"table {name} has columns {first.columns} and {second.columns}"
        if sorted(first.rows, key=repr) != sorted(second.rows, key=repr):
            return f"table {name} has rows {first.rows} and {second.rows}"
    return ""
