"""Histories: what publishers and operators do, each thing at its time. Made from a seed, kept
as JSON, executed by runner.py, shortened by shrink.py.

Everything that an event does stands in it; whether it is still there or not changes nothing
about the others.
"""

import base64
import dataclasses
import json
import random

INTEGER, REAL, TEXT, BLOB = 1, 2, 3, 4  # As qasino.v1.ColumnType.

PLAIN = "plain"
UPDATE = "update"
PERSIST = "persist"
UPDATE_PERSIST = "update+persist"
STATIC = "static"


@dataclasses.dataclass(frozen=True)
class Publish:
    """One table from one identity."""

    at: float  # Seconds since the beginning.
    identity: str
    ingest: int  # The number of its ingest process.
    table: str
    sort: str
    columns: tuple  # (name, type, (cell, ...)); a cell is None, int, float, str or bytes
    keycols: tuple = ()
    retry: bool = False  # Sent again until it is answered.

    @property
    def rows(self):
        return len(self.columns[0][2])


@dataclasses.dataclass(frozen=True)
class DropStatic:
    """An operator drops a static table."""

    at: float
    table: str


@dataclasses.dataclass(frozen=True)
class DropPersistent:
    """An operator ends the carrying of a table of one identity."""

    at: float
    table: str
    identity: str
    ahead: int  # 0: at once; else from the generation so many after the running one.


@dataclasses.dataclass(frozen=True)
class Stop:
    """A program is killed or asked to end, and started again."""

    at: float
    program: str
    kill: bool  # SIGKILL, else SIGTERM.
    down: float  # How long it is away, in seconds.


@dataclasses.dataclass(frozen=True)
class History:
    generations: int
    events: tuple  # in the order of time


_KINDS = {each.__name__: each for each in (Publish, DropStatic, DropPersistent, Stop)}


def _cell_to_json(cell):
    return {"blob": base64.b64encode(cell).decode()} if isinstance(cell, bytes) else cell


def _cell_from_json(cell):
    return base64.b64decode(cell["blob"]) if isinstance(cell, dict) else cell


def to_json(history):
    """A line an event, so that a person can read it and take lines out."""
    lines = []
    for event in history.events:
        fields = dataclasses.asdict(event)
        if isinstance(event, Publish):
            fields["columns"] = [[name, type_, [_cell_to_json(cell) for cell in cells]]
                                 for name, type_, cells in event.columns]
        lines.append(json.dumps({"event": type(event).__name__, **fields}))
    return (json.dumps({"generations": history.generations})[:-1] + ', "events": [\n'
            + ",\n".join(lines) + "\n]}\n")


def from_json(text):
    document = json.loads(text)
    events = []
    for fields in document["events"]:
        kind = _KINDS[fields.pop("event")]
        if kind is Publish:
            fields["columns"] = tuple(
                (name, type_, tuple(_cell_from_json(cell) for cell in cells))
                for name, type_, cells in fields["columns"])
            fields["keycols"] = tuple(fields["keycols"])
        events.append(kind(**fields))
    return History(document["generations"], tuple(events))


IDENTITIES = tuple(f"host{number:02}" for number in range(20))

# The columns that tables are made of, each with the type that most publishers give it.
# `k` and `n` are what updates look for.
_COLUMNS = (("k", INTEGER), ("n", TEXT), ("a", INTEGER), ("b", REAL), ("c", TEXT), ("d", BLOB))
_OTHER_TYPES = {INTEGER: (TEXT, REAL), REAL: (INTEGER, TEXT), TEXT: (INTEGER, REAL)}

# Each table with the sorts that are published to it, and how often. A name has publishers of
# several sorts, so that what one does is seen beside what the others do.
_TABLES = (
    ("plain_1", {PLAIN: 1}),
    ("plain_2", {PLAIN: 3, UPDATE: 1}),
    ("Select", {PLAIN: 1}),
    ("updated_1", {UPDATE: 1}),
    ("updated_2", {UPDATE: 3, PLAIN: 2}),
    ("kept_1", {PERSIST: 1}),
    ("kept_2", {PERSIST: 2, PLAIN: 2, UPDATE: 1}),
    ("kept_3", {PERSIST: 2, UPDATE_PERSIST: 3, PLAIN: 1}),
    ("kept_4", {PERSIST: 1, UPDATE_PERSIST: 1, PLAIN: 1, UPDATE: 1}),
    ("static_1", {STATIC: 1}),
    ("static_2", {STATIC: 1}),
    ("hidden", {STATIC: 2, PLAIN: 1, PERSIST: 1}),
)
# Dropped now and then.
_DROPPED = ("kept_1", "kept_3", "kept_4", "static_1", "hidden")


class Generator:
    """Makes a history from a seed."""

    def __init__(self, seed, generations, mode, sorts=(PLAIN, UPDATE, PERSIST, UPDATE_PERSIST,
                                                       STATIC)):
        """mode: "processes" or "standalone". sorts: those that are published."""
        self._random = random.Random(seed)
        self._generations = generations
        self._mode = mode
        self._tables = []
        for name, weights in _TABLES:
            weights = {sort: weight for sort, weight in weights.items() if sort in sorts}
            if weights:
                self._tables.append((name, weights))
        self._pub = 0

    def history(self):
        events = []
        for second in range(self._generations):
            for name, weights in self._tables:
                events += self._publishes(second, name, weights)
            events += self._drops(second)
        stops = self._stops()
        for stop in stops:
            events += self._around(stop)
        events += stops
        events.sort(key=lambda event: event.at)
        return History(self._generations, tuple(events))

    def _at(self, second):
        # Now and then close to the boundary of two generations.
        if self._random.random() < 0.15:
            return round(second + self._random.uniform(-0.03, 0.03), 4) if second else 0.0
        return round(second + self._random.random(), 4)

    @staticmethod
    def _identities(table):
        """Those that publish a table: few, so that they meet themselves again."""
        if table == "plain_1":
            return IDENTITIES
        return [IDENTITIES[(7 * len(table) + offset) % len(IDENTITIES)]
                for offset in (0, 1, 3, 6)]

    def _publishes(self, second, table, weights):
        r = self._random
        if r.random() < 0.15:
            return []  # Nobody publishes it in this second.
        identities = self._identities(table)
        events = []
        for _ in range(r.choice((1, 1, 2, 3, 4))):
            sort = r.choices(list(weights), list(weights.values()))[0]
            event = self._publish(self._at(second), r.choice(identities), table, sort)
            events.append(event)
            if r.random() < 0.1:  # The same again, or with other rows.
                later = round(event.at + r.random() * 0.3, 4)
                events.append(dataclasses.replace(event, at=later) if r.random() < 0.5 else
                              self._publish(later, event.identity, table, sort))
        return events

    def _publish(self, at, identity, table, sort):
        r = self._random
        self._pub += 1
        rows = r.choice((0, 1, 1, 2, 3, 4))
        columns = [("pub", INTEGER, (self._pub,) * rows)]
        for name, type_ in _COLUMNS:
            update = sort in (UPDATE, UPDATE_PERSIST)
            if r.random() < (0.9 if update and name == "k" else 0.6):
                columns.append(self._column(name, type_, rows, sort))
        r.shuffle(columns)
        keycols = ()
        if sort in (UPDATE, UPDATE_PERSIST):
            if r.random() < 0.2:  # Without an own mark, so that all columns may be keys.
                kept = [each for each in columns if each[0] != "pub"]
                columns = kept or columns
            names = [name for name, _, _ in columns]
            wanted = r.choice((("k",), ("k",), ("k", "n"), ("n",), ()))
            keycols = tuple(r.choice((name, name.upper())) for name in names
                            if name.lower() in wanted)
        return Publish(at=at, identity=identity, ingest=self._ingest(identity), table=table,
                       sort=sort, columns=tuple(columns), keycols=keycols,
                       retry=r.random() < 0.5)

    def _ingest(self, identity):
        return IDENTITIES.index(identity) % 2 if self._mode == "processes" else 0

    def _column(self, name, type_, rows, sort):
        r = self._random
        # What is carried outlives the publish that gave a column its type; the values that
        # updates look for must not change with it.
        steady = name in ("k", "n") and sort not in (PLAIN, STATIC)
        if type_ in _OTHER_TYPES and not steady and r.random() < 0.1:
            type_ = r.choice(_OTHER_TYPES[type_])
        if r.random() < 0.05:
            name = name.upper()
        return (name, type_, tuple(self._cell(type_) for _ in range(rows)))

    def _cell(self, type_):
        """Few values, so that updates find them; and such that SQLite's conversions between
        types lose nothing: see model.canonical()."""
        r = self._random
        chance = r.random()
        if chance < 0.1:
            return None
        if chance < 0.15 and type_ != BLOB:
            type_ = r.choice((INTEGER, REAL, TEXT))
        return {INTEGER: lambda: r.randrange(6),
                REAL: lambda: r.randrange(6) + 0.5,
                TEXT: lambda: r.choice(("x", "y", "Zoë", "", "4", "5")),
                BLOB: lambda: bytes([r.randrange(4), 0])}[type_]()

    def _drops(self, second):
        r = self._random
        if r.random() > 0.15:
            return []
        names = [name for name, _ in self._tables]
        kept = {PERSIST, UPDATE_PERSIST, STATIC}
        tables = [name for name in _DROPPED
                  if name in names and kept & set(dict(self._tables)[name])]
        if not tables:
            return []
        table = r.choice(tables)
        weights = dict(self._tables)[table]
        if STATIC in weights and (len(weights) == 1 or r.random() < 0.5):
            return [DropStatic(self._at(second), table)]
        return [DropPersistent(self._at(second), table, r.choice(self._identities(table)),
                               r.choice((0, 0, 1, 2)))]

    def _around(self, stop):
        """The same identities publish the same tables shortly before and after the end of a
        process, mostly in one generation."""
        r = self._random
        events = []
        for _ in range(3):
            table, weights = r.choice(self._tables)
            identity = r.choice(self._identities(table))
            for at in (stop.at - r.uniform(0, 0.2), stop.at + stop.down + r.uniform(0.1, 0.6)):
                sort = r.choices(list(weights), list(weights.values()))[0]
                events.append(self._publish(round(max(0.0, at), 4), identity, table, sort))
        # And some are in the middle of it.
        for table, weights in r.sample(self._tables, min(4, len(self._tables))):
            sort = r.choices(list(weights), list(weights.values()))[0]
            events.append(self._publish(round(stop.at - r.uniform(-0.002, 0.006), 4),
                                        r.choice(self._identities(table)), table, sort))
        return events

    def _stops(self):
        """Each program lives some seconds between two ends; the store's are rarer, because
        all others go on without it."""
        r = self._random
        means = ({"qasino": 7} if self._mode == "standalone" else
                 {"store": 10, "ingest-a": 9, "ingest-b": 9, "query": 10})
        events = []
        for program, mean in means.items():
            at = r.uniform(2, mean)
            while at < self._generations - 1:
                down = r.choice((0.0, 0.1, 0.5, 1.5, 3.0))
                events.append(Stop(round(at, 4), program, r.random() < 0.75, down))
                at += down + 1.5 + r.expovariate(1 / mean)
        return events
