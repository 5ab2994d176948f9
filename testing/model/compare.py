"""Compares what a table may be with what was seen of it: in the manifest, and by queries.

An identity's rows of a table count once: those in the first shard that has them, unless the
table was updated in either shard. What is carried from before the generation is hidden by what
its identity published in it, though the shard with that came late. A static table is there
unless another table hides it.
"""

import collections
import dataclasses

from testing.model import rules


def show(rows):
    """Rows in words; the first of many."""
    counted = collections.Counter(rows)
    shown = [f"{count}x " * (count > 1) + "{" + ", ".join(
        f"{name}={cell!r}" for name, cell in sorted(row, key=lambda item: item[0])) + "}"
        for row, count in counted.items()]
    return "[" + ", ".join(sorted(shown)[:20]) + (", …" if len(shown) > 20 else "") + "]"


def _show_carried(state):
    return "{" + ", ".join(f"{identity} since {table.generation}: {show(table.rows)}"
                           for identity, table in sorted(state.carried)) + "}"


@dataclasses.dataclass
class Candidate:
    """What one table may be in one snapshot."""

    name: str
    state: rules.State
    collected: dict  # shard id: rules.Collected, of the shards that have the table
    carried_columns: set  # that the table may have where it is carried


def manifest_differs(manifest, candidate, collected_only=False):
    """Why it is not what the manifest tells; empty when it is."""
    state = candidate.state
    for shard in manifest.shards:
        found = shard.tables.get(candidate.name)
        if shard.kind == "COLLECTED":
            made = candidate.collected.get(shard.shard_id)
            if (made is None) != (found is None):
                return (f"shard {shard.shard_id} of {shard.identity} has it: "
                        f"{found is not None}, expected: {made is not None}")
            if made is None:
                continue
            expected = (made.columns, len(made.rows), made.updates, made.updated)
            if (found.columns, found.rows, found.updates, found.updated) != expected:
                return (f"shard {shard.shard_id} of {shard.identity} has (columns, rows, "
                        f"updates, updated) {dataclasses.astuple(found)}, expected {expected}")
        elif shard.kind == "PERSISTENT" and not collected_only:
            rows = sum(len(table.rows) for _, table in state.carried)
            if (found is not None) != bool(state.carried) or found and found.rows != rows:
                return (f"carried are {found.rows if found else 'no'} rows, expected "
                        f"{_show_carried(state)}")
    if state.carried and not collected_only and not any(shard.kind == "PERSISTENT" for shard in manifest.shards):
        return f"nothing is carried, expected {_show_carried(state)}"
    return ""


def snapshot_differs(manifest, snapshot, candidate):
    """Why it is not what queries answered; empty when it is."""
    state = candidate.state
    parts = []  # (rows, identities, those carried from before, updated) by shard
    columns = {}
    for shard in manifest.shards:
        if shard.kind == "PERSISTENT" and state.carried:
            rows = [(identity, row) for identity, table in state.carried for row in table.rows]
            before = {identity for identity, table in state.carried
                      if table.generation < manifest.generation}
            parts.append((rows, {identity for identity, _ in state.carried}, before,
                          shard.tables[candidate.name].updated))
        elif shard.kind == "COLLECTED" and shard.shard_id in candidate.collected:
            made = candidate.collected[shard.shard_id]
            parts.append((made.rows, made.identities, set(), made.updated))
            for name, type_ in made.columns:
                columns.setdefault(name, type_)
    table = snapshot.tables.get(candidate.name)
    static = not parts and state.static is not None
    if table is None:
        return "it is not there" if parts or static else ""
    found = collections.Counter(_rows(table))
    if not parts and not static:
        return f"it is there: {show(found.elements())}"
    listed = snapshot.listed.get(candidate.name)
    if listed != (len(table.rows), static):
        return (f"qasino_server_tables has (rows, static) {listed}, "
                f"expected {(len(table.rows), static)}")
    if static:
        if found != collections.Counter(state.static[1]):
            return (f"static: rows {show(found.elements())}, expected {show(state.static[1])}")
        return _columns_differ(table, dict(state.static[0]), exact=True)
    expected = [_visible(parts, rule) for rule in (_either, _any)]
    if found not in expected:
        missing = expected[0] - found
        more = found - expected[0]
        return f"missing {show(missing.elements())}, too many {show(more.elements())}"
    carried = {name for _, one in state.carried for name in one.columns}
    if not state.carried:
        return _columns_differ(table, columns, exact=True)
    names = {name for name, _ in table.columns}
    lacking = (set(columns) | carried) - names
    if lacking:
        return f"columns {sorted(lacking)} are not there"
    beyond = names - set(columns) - candidate.carried_columns
    if beyond:
        return f"columns {sorted(beyond)} are there"
    return _columns_differ(table, columns, exact=False)


def _rows(table):
    names = [name for name, _ in table.columns]
    return [rules.row_of(names, cells) for cells in table.rows]


def _visible(parts, counts_again):
    rows = collections.Counter()
    updated_anywhere = any(updated for _, _, _, updated in parts)
    for place, (part, identities, before, updated) in enumerate(parts):
        hidden = {identity for identity in identities
                  if any(identity in earlier - earlier_before and not counts_again(
                      earlier_updated, updated, updated_anywhere)
                         for _, earlier, earlier_before, earlier_updated in parts[:place])}
        hidden |= {identity for identity in before
                   if any(identity in later for _, later, _, _ in parts[place + 1:])}
        rows.update(row for identity, row in part if identity not in hidden)
    return rows


# The contract speaks of two shards; with three, "either" may be read in two ways.
def _either(earlier_updated, later_updated, _):
    return earlier_updated or later_updated


def _any(_, __, updated_anywhere):
    return updated_anywhere


def _columns_differ(table, columns, exact):
    """exact: the columns are these, in this order and of these types."""
    names = [name for name, _ in table.columns]
    if len(set(names)) != len(names):
        return f"columns {names} are not distinct"
    if exact:
        # An answer may leave a column's type unsaid.
        found = tuple((name, type_ or columns.get(name)) for name, type_ in table.columns)
        if found != tuple(columns.items()):
            return f"columns {found}, expected {tuple(columns.items())}"
    for place, (name, type_) in enumerate(table.columns):
        for row in table.rows:
            if type_ and not rules.fits(row[place], type_):
                return f"column {name} of type {type_} has the cell {row[place]!r}"
    return ""
