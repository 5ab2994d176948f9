"""The rules of behaviour as a simple model: what publishes and drops do to the tables of an
ingest process and of the store. Pure, and slow on purpose.

  - Rows of a plain publish are added to the shard of its ingest process; an update changes the
    rows of that shard's table, whoever published them, or adds its own.
  - What is carried of a table belongs to identities. A put replaces what is carried for its
    identity, an update changes rows whoever has them, and these are then its identity's.
    Carrying ends with a drop, or with a shard in which the identity published the table, of a
    later generation than its last put.
  - Snapshot n has the changes of generations up to n, in the order of generations and then of
    arrival.
"""

import dataclasses
import re

from testing.model import history

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def canonical(cell):
    """A cell as it is compared: numbers in text are numbers, so that SQLite's conversions
    between the types of columns, which depend on what came first, change nothing."""
    if isinstance(cell, str) and _NUMBER.fullmatch(cell):
        return float(cell)
    return cell


def fits(cell, type_):
    """Whether a column of this type can hold the cell, by SQLite's affinity: what can be
    converted is converted."""
    if type_ == history.INTEGER:
        return not (isinstance(cell, str) and _NUMBER.fullmatch(cell)) and not (
            isinstance(cell, float) and cell.is_integer())
    if type_ == history.REAL:
        return not isinstance(cell, int) and not (
            isinstance(cell, str) and _NUMBER.fullmatch(cell))
    if type_ == history.TEXT:
        return not isinstance(cell, (int, float))
    return True


def row_of(names, cells):
    """A row without its NULLs: what lacks a column is not told from what is NULL there."""
    return frozenset((name, canonical(cell)) for name, cell in zip(names, cells)
                     if cell is not None)


def published_rows(publish):
    names = [name.lower() for name, _, _ in publish.columns]
    return [row_of(names, cells) for cells in zip(*(cells for _, _, cells in publish.columns))]


def update_rows(rows, publish):
    """Applies an update to rows [(owner, row)], in place."""
    names = [name.lower() for name, _, _ in publish.columns]
    keys = {name.lower() for name in publish.keycols} or set(names)
    for row in published_rows(publish):
        wanted = {item for item in row if item[0] in keys}
        found = False
        for place, (_, old) in enumerate(rows):
            if {item for item in old if item[0] in keys} != wanted:
                continue
            found = True
            kept = {item for item in old if item[0] not in names}
            rows[place] = (publish.identity, frozenset(kept | row))
        if not found:
            rows.append((publish.identity, row))


@dataclasses.dataclass(frozen=True)
class Collected:
    """A table of one ingest process's shard."""

    rows: tuple  # (identity, row) in order
    columns: tuple  # (name, type) as first seen
    identities: frozenset
    updates: int
    updated: bool


def collect(publishes):
    """The table that these publishes make, in their order."""
    rows = []
    columns = {}
    for publish in publishes:
        for name, type_, _ in publish.columns:
            columns.setdefault(name.lower(), type_)
        if publish.sort == history.UPDATE:
            update_rows(rows, publish)
        else:
            rows += [(publish.identity, row) for row in published_rows(publish)]
    return Collected(rows=tuple(rows), columns=tuple(columns.items()),
                     identities=frozenset(publish.identity for publish in publishes),
                     updates=len(publishes),
                     updated=any(publish.sort == history.UPDATE for publish in publishes))


@dataclasses.dataclass(frozen=True)
class Carried:
    """What is carried of a table for one identity."""

    generation: int  # Of the last put.
    columns: frozenset
    rows: tuple


@dataclasses.dataclass(frozen=True)
class State:
    """What the store may have of one table."""

    carried: frozenset = frozenset()  # of (identity, Carried)
    # The static table: (columns, rows).
    static: object = None
    # Attempts of which it is open when they took effect, and that did.
    done: frozenset = frozenset()
    # Carrying that ends in some generation up to the last one: (identity, generation of the
    # shard, last).
    ending: frozenset = frozenset()
    # Drops that wait for their generation: (identity, generation).
    dropping: frozenset = frozenset()
    # Drops that took what waited with them: (identity, index of the attempt).
    dropped: frozenset = frozenset()

    def without(self, identity):
        """Carried for it no longer."""
        return dataclasses.replace(
            self, carried=frozenset(each for each in self.carried if each[0] != identity))

    def put(self, publish, index, generation):
        """A publish with `persist`, the attempt of that index."""
        if any(identity == publish.identity and index < drop for identity, drop in self.dropped):
            return self
        names = frozenset(name.lower() for name, _, _ in publish.columns)
        tables = dict(self.carried)
        if publish.sort == history.PERSIST:
            tables[publish.identity] = Carried(generation, names, tuple(published_rows(publish)))
        else:
            mine = tables.get(publish.identity, Carried(generation, frozenset(), ()))
            tables[publish.identity] = dataclasses.replace(
                mine, generation=generation, columns=mine.columns | names)
            rows = [(identity, row) for identity in sorted(tables)
                    for row in tables[identity].rows]
            update_rows(rows, publish)
            tables = {identity: dataclasses.replace(
                table, rows=tuple(row for owner, row in rows if owner == identity))
                      for identity, table in tables.items()}
        return dataclasses.replace(
            self, carried=frozenset(tables.items()),
            ending=frozenset(each for each in self.ending if each[0] != publish.identity))

    def drop_at_once(self, identity, index):
        """With everything that was put before the attempt of that index."""
        return dataclasses.replace(
            self.without(identity),
            dropping=frozenset(each for each in self.dropping if each[0] != identity),
            dropped=self.dropped | {(identity, index)})

    def drop_from(self, identity, generation):
        """Unless it was put for that generation or a later one."""
        table = dict(self.carried).get(identity)
        if table is None or table.generation >= generation:
            return self
        return self.without(identity)

    def put_static(self, publish):
        columns = dict(self.static[0]) if self.static else {}
        for name, type_, _ in publish.columns:
            columns.setdefault(name.lower(), type_)
        return dataclasses.replace(
            self, static=(tuple(columns.items()), tuple(published_rows(publish))))
