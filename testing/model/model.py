"""The rules of behaviour as a simple model, and the judgement of a recording by it.

What was acknowledged has one outcome. What got no answer may have happened or not, but whole
or not at all: the model then goes on with each possible state, and every snapshot leaves those
that agree with it. A snapshot with which none agrees is a mismatch.

Tables are judged one by one, generation by generation. The rules, in the model's words:

  - Rows of a plain publish are added to the shard of its ingest process; an update changes the
    rows of that shard's table, whoever published them, or adds its own.
  - A shard is in its generation's snapshot whole or not at all; it may be missing only where
    its process was killed before it could hand it in.
  - What is carried of a table belongs to identities. A put replaces what is carried for its
    identity, an update changes rows whoever has them, and these are then its identity's.
    Carrying ends with a drop, or with a shard in which the identity published the table, of a
    later generation than its last put.
  - Snapshot n has the changes of generations up to n, in the order of generations and then of
    arrival.
  - An identity's rows of a table count once: those in the first shard that has them, unless
    the table was updated in either shard.
  - A static table is there unless another table hides it.
"""

import collections
import dataclasses
import re

from testing.model import history
from testing.model.recording import APPLIED, MAYBE, NONE

_NUMBER = re.compile(r"-?\d+(\.\d+)?")

# Far more possible states than any run should need.
_MOST_STATES = 5000
# How long a shard takes to be handed in at most, once the store is there.
_HAND_IN_SECONDS = 8.0
# Beyond this, two publishes are not in one generation.
_NEAR_SECONDS = 10.0


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


@dataclasses.dataclass
class Mismatch:
    """A snapshot, or an answer, that the rules do not allow."""

    generation: int
    table: str
    words: str

    def __str__(self):
        where = f"table {self.table}" if self.table else "the snapshot"
        return f"generation {self.generation}: {where}: {self.words}"


@dataclasses.dataclass
class Verdict:
    mismatches: list
    counts: collections.Counter


def _show(rows):
    counted = collections.Counter(rows)
    shown = [f"{count}x " * (count > 1) + "{" + ", ".join(
        f"{name}={cell!r}" for name, cell in sorted(row, key=lambda item: item[0])) + "}"
        for row, count in counted.items()]
    return "[" + ", ".join(sorted(shown)[:20]) + (", …" if len(shown) > 20 else "") + "]"


class _TableModel:
    """Judges one table of a recording."""

    def __init__(self, name, recording, facts):
        self._name = name
        self._recording = recording
        self._facts = facts
        self._attempts = [each for each in recording.attempts
                          if each.event.table.lower() == name and each.effect != NONE]
        self._by_generation = collections.defaultdict(list)
        for attempt in self._attempts:
            low, high = self._window(attempt)
            for generation in range(low, high + 1):
                self._by_generation[generation].append(attempt)
        # Columns that a carried table may have.
        self._carried_columns = {
            name.lower() for each in self._attempts if isinstance(each.event, history.Publish)
            and each.event.sort not in (history.PLAIN, history.STATIC)
            or isinstance(each.event, history.Publish) and each.event.sort == history.PERSIST
            for name, _, _ in each.event.columns}
        self._kept = any(not isinstance(each.event, history.Publish)
                         or each.event.sort not in (history.PLAIN, history.UPDATE)
                         for each in self._attempts)
        self._events = {each.index: each.event for each in self._attempts}
        self._of_pair = collections.defaultdict(list)
        for attempt in self._attempts:
            self._of_pair[getattr(attempt.event, "identity", "")].append(attempt)
        self._made = {}  # of collect()
        self.mismatches = []
        self.most_states = 1

    @staticmethod
    def _window(attempt):
        """The generations in which it may have taken effect, first and last."""
        if attempt.effect == APPLIED:
            if isinstance(attempt.event, history.DropPersistent):
                high = int(attempt.answered) + 1
                if attempt.event.ahead:
                    return attempt.generation, max(attempt.generation, high)
                return attempt.newest, max(high, attempt.newest)
            return attempt.generation, attempt.generation
        low = int(attempt.sent) - 1
        if not isinstance(attempt.event, history.Publish) or attempt.event.sort == history.STATIC:
            low = min(low, attempt.newest)
        high = int(attempt.answered) + 1
        if isinstance(attempt.event, history.DropPersistent) and attempt.event.ahead:
            return attempt.generation, max(attempt.generation, high)
        return low, high

    def _forwarded(self, attempt):
        """Whether an update went to the store, since its identity had persisted the table in
        this generation: True, False, or None where it is open."""
        possible = False
        for earlier in reversed(self._of_pair[attempt.event.identity]):
            if earlier.answered < attempt.sent - _NEAR_SECONDS:
                break
            if (earlier.index >= attempt.index or earlier.instance != attempt.instance
                    or earlier.event.sort not in (history.PERSIST, history.UPDATE_PERSIST)
                    or earlier.effect != APPLIED):
                continue
            if earlier.generation == attempt.generation and (
                    int(earlier.sent - 0.3) == attempt.generation):
                return True
            if (attempt.effect == MAYBE
                    or int(earlier.sent) - 1 <= attempt.generation <= earlier.generation + 1):
                possible = True
        return None if possible else False

    # The store's changes.

    @staticmethod
    def _without(carried, identity):
        return frozenset(each for each in carried if each[0] != identity)

    def _put(self, state, attempt, generation):
        publish = attempt.event
        if any(identity == publish.identity and attempt.index < index
               for identity, index in state.dropped):
            return state
        names = frozenset(name.lower() for name, _, _ in publish.columns)
        if publish.sort == history.PERSIST:
            rows = tuple(published_rows(publish))
            carried = self._without(state.carried, publish.identity) | {
                (publish.identity, Carried(generation, names, rows))}
        else:
            tables = dict(state.carried)
            mine = tables.get(publish.identity, Carried(generation, frozenset(), ()))
            tables[publish.identity] = dataclasses.replace(
                mine, generation=generation, columns=mine.columns | names)
            rows = [(identity, row) for identity in sorted(tables)
                    for row in tables[identity].rows]
            update_rows(rows, publish)
            carried = frozenset(
                (identity, dataclasses.replace(
                    table, rows=tuple(row for owner, row in rows if owner == identity)))
                for identity, table in tables.items())
        return dataclasses.replace(
            state, carried=carried,
            ending=frozenset(each for each in state.ending if each[0] != publish.identity))

    def _drop(self, state, attempt, generation):
        identity = attempt.event.identity
        if attempt.event.ahead:
            table = dict(state.carried).get(identity)
            if table is not None and table.generation < attempt.generation:
                state = dataclasses.replace(
                    state, carried=self._without(state.carried, identity))
            return state
        del generation
        return dataclasses.replace(
            state, carried=self._without(state.carried, identity),
            dropping=frozenset(each for each in state.dropping if each[0] != identity),
            dropped=state.dropped | {(identity, attempt.index)})

    @staticmethod
    def _put_static(state, publish):
        columns = dict(state.static[0]) if state.static else {}
        for name, type_, _ in publish.columns:
            columns.setdefault(name.lower(), type_)
        return dataclasses.replace(
            state, static=(tuple(columns.items()), tuple(published_rows(publish))))

    def _outcomes(self, attempt, generation, state, shards):
        """The (state, shards) that there may be after an attempt that takes effect now."""
        event = attempt.event
        if isinstance(event, history.DropStatic):
            return [(dataclasses.replace(state, static=None), shards)]
        if isinstance(event, history.DropPersistent):
            return [(self._drop(state, attempt, generation), shards)]
        if event.sort == history.STATIC:
            return [(self._put_static(state, event), shards)]
        if event.sort in (history.PERSIST, history.UPDATE_PERSIST):
            return [(self._put(state, attempt, generation), shards)]
        outcomes = []
        forwarded = self._forwarded(attempt) if event.sort == history.UPDATE else False
        if forwarded is not True:
            made = dict(shards)
            made[attempt.instance] = made.get(attempt.instance, ()) + (attempt.index,)
            outcomes.append((state, frozenset(made.items())))
        if forwarded is not False:
            changed = self._put(state, attempt, generation)
            outcomes.append((dataclasses.replace(
                changed, dropping=changed.dropping | {(event.identity, generation + 1)}), shards))
            if attempt.effect == MAYBE:  # Changed, but the drop was not sent any more.
                outcomes.append((changed, shards))
        return outcomes

    def _collected(self, indices):
        made = self._made.get(indices)
        if made is None:
            made = self._made[indices] = collect([self._events[index] for index in indices])
        return made

    # Generation by generation.

    def judge(self):
        states = {State()}
        generations = sorted(set(self._by_generation) | set(self._facts.manifests))
        last = max(self._facts.manifests, default=0)
        for generation in generations:
            if generation > last:
                break
            states = self._judge_generation(generation, states)
            if self.mismatches:
                return  # What follows from it says nothing more.
            self.most_states = max(self.most_states, len(states))
            if len(states) > _MOST_STATES:
                self.mismatches.append(Mismatch(
                    generation, self._name, f"{len(states)} states are possible: too much is open"))
                return

    def _judge_generation(self, generation, states):
        begun = set()
        for state in states:
            ripe = {each for each in state.dropping if each[1] <= generation}
            carried = frozenset(
                (identity, table) for identity, table in state.carried
                if not any(identity == dropped and table.generation < first
                           for dropped, first in ripe))
            begun.add((dataclasses.replace(state, carried=carried,
                                           dropping=state.dropping - ripe), frozenset()))
        for attempt in self._by_generation.get(generation, ()):
            low, high = self._window(attempt)
            floating = low != high
            after = set()
            for state, shards in begun:
                if attempt.index in state.done:
                    after.add((state, shards))
                    continue
                must = attempt.effect == APPLIED and generation == high
                if not must:
                    after.add((state, shards))  # Not now.
                for changed, made in self._outcomes(attempt, generation, state, shards):
                    if floating:
                        changed = dataclasses.replace(changed,
                                                      done=changed.done | {attempt.index})
                    after.add((changed, made))
            begun = after
        begun = {(self._forget(state, generation), shards) for state, shards in begun}

        manifest = self._facts.manifests.get(generation)
        if manifest is None:
            return {state for state, _ in begun}
        ended = set()
        for state, shards in begun:
            for changed in self._end(state, shards, manifest):
                ended.add((changed, shards))
        return self._compare(generation, manifest, ended)

    def _forget(self, state, generation):
        """Attempts whose window is over are no longer told apart."""
        done = frozenset(index for index in state.done
                         if self._window(self._facts.attempts[index])[1] > generation)
        return dataclasses.replace(state, done=done) if done != state.done else state

    def _end(self, state, shards, manifest):
        """Ends what is carried of those who published without `persist`."""
        states = {state}
        made = dict(shards)
        for shard in manifest.shards:
            indices = made.get(self._facts.instances.get(shard.shard_id))
            if shard.kind != "COLLECTED" or not indices:
                continue
            for identity in self._collected(indices).identities:
                key = (manifest.generation, shard.shard_id)
                last = manifest.generation
                if key not in self._recording.on_time:
                    last = max(last, int(self._recording.first_seen[key]) + 1)
                states = {dataclasses.replace(
                    each, ending=each.ending | {(identity, manifest.generation, last)})
                    if identity in dict(each.carried) else each for each in states}
        result = set()
        for each in states:
            choices = {each}
            for identity, generation, last in each.ending:
                after = set()
                for choice in choices:
                    table = dict(choice.carried).get(identity)
                    over = dataclasses.replace(
                        choice, ending=choice.ending - {(identity, generation, last)})
                    if table is None or table.generation >= generation:
                        after.add(over)
                        continue
                    after.add(dataclasses.replace(
                        over, carried=self._without(over.carried, identity)))
                    if last > manifest.generation:
                        after.add(choice)
                choices = after
            result |= choices
        return result

    # The comparison with what was seen.

    def _compare(self, generation, manifest, candidates):
        reasons = []
        states = set()
        for state, shards in candidates:
            reason = self._differs(generation, manifest, state, dict(shards))
            if reason:
                reasons.append(reason)
            else:
                states.add(state)
        if not states:
            reasons = sorted(set(reasons), key=lambda words: (len(words), words))
            self.mismatches.append(Mismatch(generation, self._name, "; or ".join(reasons[:3])))
        return states

    def _differs(self, generation, manifest, state, shards):
        """Why a candidate is not what was seen; empty when it is."""
        reason = self._manifest_differs(manifest, state, shards)
        if reason:
            return reason
        for revision in self._facts.captured.get(generation, ()):
            seen = self._recording.manifests.get((generation, revision))
            if seen is None or (self._kept and revision != manifest.revision):
                continue
            snapshot = self._recording.snapshots[generation, revision]
            reason = self._snapshot_differs(seen, snapshot, state, shards)
            if reason:
                return f"revision {revision}: {reason}"
        return ""

    def _manifest_differs(self, manifest, state, shards):
        for shard in manifest.shards:
            found = shard.tables.get(self._name)
            if shard.kind == "COLLECTED":
                indices = shards.get(self._facts.instances.get(shard.shard_id))
                made = self._collected(indices) if indices else None
                if (made is None) != (found is None):
                    return (f"shard {shard.shard_id} of {shard.identity} has it: "
                            f"{found is not None}, expected: {made is not None}")
                if made is None:
                    continue
                expected = (made.columns, len(made.rows), made.updates, made.updated)
                if (found.columns, found.rows, found.updates, found.updated) != expected:
                    return (f"shard {shard.shard_id} of {shard.identity} has (columns, rows, "
                            f"updates, updated) {dataclasses.astuple(found)}, expected {expected}")
            elif shard.kind == "PERSISTENT":
                rows = sum(len(table.rows) for _, table in state.carried)
                if (found is not None) != bool(state.carried) or found and found.rows != rows:
                    return (f"carried are {found.rows if found else 'no'} rows, expected "
                            f"{self._show_carried(state)}")
        if state.carried and not any(shard.kind == "PERSISTENT" for shard in manifest.shards):
            return f"nothing is carried, expected {self._show_carried(state)}"
        return ""

    @staticmethod
    def _show_carried(state):
        return "{" + ", ".join(f"{identity} since {table.generation}: {_show(table.rows)}"
                               for identity, table in sorted(state.carried)) + "}"

    def _snapshot_differs(self, manifest, snapshot, state, shards):
        """Compares with what a query answered."""
        parts = []  # (rows, identities, updated) by shard
        columns = {}
        for shard in manifest.shards:
            found = shard.tables.get(self._name)
            if shard.kind == "PERSISTENT" and state.carried:
                rows = [(identity, row) for identity, table in state.carried
                        for row in table.rows]
                parts.append((rows, {identity for identity, _ in state.carried},
                              found.updated))
            elif shard.kind == "COLLECTED":
                indices = shards.get(self._facts.instances.get(shard.shard_id))
                if indices:
                    made = self._collected(indices)
                    parts.append((made.rows, made.identities, made.updated))
                    for name, type_ in made.columns:
                        columns.setdefault(name, type_)
        table = snapshot.tables.get(self._name)
        static = not parts and state.static is not None
        if table is None or (not parts and not static):
            if table is None and not parts and not static:
                return ""
            if table is None:
                return "it is not there"
            return f"it is there: {_show(self._rows(table))}"
        listed = snapshot.listed.get(self._name)
        if listed != (len(table.rows), static):
            return (f"qasino_server_tables has (rows, static) {listed}, "
                    f"expected {(len(table.rows), static)}")
        found_rows = collections.Counter(self._rows(table))
        if static:
            if found_rows != collections.Counter(state.static[1]):
                return (f"static: rows {_show(found_rows.elements())}, "
                        f"expected {_show(state.static[1])}")
            return self._columns_differ(table, dict(state.static[0]), exact=True)
        expected = [self._visible(parts, rule) for rule in (_either, _any)]
        if found_rows not in expected:
            missing = expected[0] - found_rows
            more = found_rows - expected[0]
            return f"missing {_show(missing.elements())}, too many {_show(more.elements())}"
        carried = set()
        for _, one in state.carried:
            carried |= one.columns
        if not carried:
            return self._columns_differ(table, columns, exact=True)
        names = [name for name, _ in table.columns]
        lacking = (set(columns) | carried) - set(names)
        if lacking:
            return f"columns {sorted(lacking)} are not there"
        beyond = set(names) - set(columns) - self._carried_columns
        if beyond:
            return f"columns {sorted(beyond)} are there"
        return self._columns_differ(table, columns, exact=False)

    @staticmethod
    def _rows(table):
        names = [name for name, _ in table.columns]
        return [row_of(names, cells) for cells in table.rows]

    @staticmethod
    def _visible(parts, counts_again):
        rows = collections.Counter()
        updated_anywhere = any(updated for _, _, updated in parts)
        for place, (part, identities, updated) in enumerate(parts):
            hidden = {identity for identity in identities
                      if any(identity in earlier and not counts_again(
                          earlier_updated, updated, updated_anywhere)
                             for _, earlier, earlier_updated in parts[:place])}
            rows.update(row for identity, row in part if identity not in hidden)
        return rows

    @staticmethod
    def _columns_differ(table, columns, exact):
        """exact: the columns are these, in this order and of these types."""
        names = [name for name, _ in table.columns]
        if len(set(names)) != len(names):
            return f"columns {names} are not distinct"
        if exact:
            found = tuple((name, type_ or columns.get(name)) for name, type_ in table.columns)
            if found != tuple(columns.items()):
                return f"columns {found}, expected {tuple(columns.items())}"
        for place, (name, type_) in enumerate(table.columns):
            for row in table.rows:
                if type_ and not fits(row[place], type_):
                    return f"column {name} of type {type_} has the cell {row[place]!r}"
        return ""


def _either(earlier_updated, later_updated, _):
    return earlier_updated or later_updated


def _any(_, __, updated_anywhere):
    return updated_anywhere


class _Facts:
    """What all tables' models look up."""

    def __init__(self, recording, until):
        self.attempts = {each.index: each for each in recording.attempts}
        self.manifests = {}
        for (generation, revision), manifest in recording.manifests.items():
            known = self.manifests.get(generation)
            if generation and generation <= until and (known is None
                                                       or known.revision < revision):
                self.manifests[generation] = manifest
        self.instances = {}
        for manifest in self.manifests.values():
            for shard in manifest.shards:
                if shard.kind == "COLLECTED":
                    self.instances[shard.shard_id] = recording.instance_of(shard)
        self.captured = collections.defaultdict(list)
        for generation, revision in sorted(recording.snapshots):
            self.captured[generation].append(revision)


def _judge_shards(recording, facts):
    """Shards stay once they are there, one process has one a generation, and what was
    acknowledged is missing only where the process was killed before it could hand it in."""
    mismatches = []
    for (generation, revision), manifest in recording.manifests.items():
        last = facts.manifests.get(generation)
        if last is None:
            continue
        of = lambda each: {shard.shard_id for shard in each.shards if shard.kind == "COLLECTED"}
        gone = of(manifest) - of(last)
        if gone:
            mismatches.append(Mismatch(generation, "", f"shards {sorted(gone)} of revision "
                                       f"{revision} are gone in revision {last.revision}"))
    held = collections.Counter()
    for generation, manifest in facts.manifests.items():
        for shard in manifest.shards:
            if shard.kind != "COLLECTED":
                continue
            instance = facts.instances[shard.shard_id]
            if instance is None:
                mismatches.append(Mismatch(generation, "", f"shard {shard.shard_id} was sealed "
                                           "while no process of its name ran"))
            held[generation, instance] += 1
    for (generation, instance), count in held.items():
        if count > 1:
            mismatches.append(Mismatch(generation, "", f"{count} shards of one process"))
    newest = max(facts.manifests, default=0)
    lost = set()
    for attempt in recording.attempts:
        if (attempt.effect != APPLIED or not isinstance(attempt.event, history.Publish)
                or attempt.event.sort not in (history.PLAIN, history.UPDATE)
                or attempt.generation > newest or held[attempt.generation, attempt.instance]):
            continue
        ingest, number = attempt.instance
        life = recording.ingest_lives[ingest][number]
        if attempt.event.sort == history.UPDATE:
            continue  # It may have gone to the store; the table's model sees it.
        if life.killed and life.ended <= _handed_in_by(recording, attempt.generation):
            lost.add((attempt.generation, attempt.instance))
            continue
        mismatches.append(Mismatch(
            attempt.generation, attempt.event.table,
            f"acknowledged by {recording.ingests[ingest]}, whose shard is missing although it "
            f"was not killed before it could hand it in"))
    return mismatches, len(lost)


def _handed_in_by(recording, generation):
    """When a shard of the generation must have been handed in, as the store was there."""
    at = generation + 1
    for life in recording.store_lives:
        begin = max(at, life.started)
        if life.ended is None or begin + _HAND_IN_SECONDS <= life.ended:
            return begin + _HAND_IN_SECONDS
    return float("inf")


def _judge_answers(recording):
    """The answers themselves: generations never fall, duplicates are told."""
    mismatches = []
    # By ingest process: generations of answers that came before a later call was sent.
    for ingest, name in enumerate(recording.ingests):
        plain = sorted((each for each in recording.attempts
                        if each.code == "OK" and each.instance and each.instance[0] == ingest
                        and each.event.sort == history.PLAIN), key=lambda each: each.answered)
        highest = 0
        answered = collections.deque(plain)
        for attempt in sorted(plain, key=lambda each: each.sent):
            while answered and answered[0].answered <= attempt.sent:
                highest = max(highest, answered.popleft().generation)
            if attempt.generation < highest:
                mismatches.append(Mismatch(
                    attempt.generation, attempt.event.table,
                    f"{name} acknowledged in it after it had acknowledged in {highest}"))
            if attempt.generation > attempt.answered:
                mismatches.append(Mismatch(
                    attempt.generation, attempt.event.table,
                    f"{name} acknowledged in it before it began"))
    pairs = collections.defaultdict(list)
    for attempt in recording.attempts:
        if isinstance(attempt.event, history.Publish) and attempt.event.sort != history.STATIC:
            pairs[attempt.event.table.lower(), attempt.event.identity].append(attempt)
    for (table, identity), attempts in pairs.items():
        mismatches += _judge_pair(table, identity, attempts)
    return mismatches


def _judge_pair(table, identity, attempts):
    mismatches = []
    for place, attempt in enumerate(attempts):
        sort = attempt.event.sort
        # Those that make this one a duplicate for certain, and those that may.
        certain = possible = contrary = certain_contrary = False
        for earlier in reversed(attempts[:place]):
            if earlier.answered < attempt.sent - _NEAR_SECONDS:
                break
            if earlier.effect == NONE:
                continue
            here = earlier.instance == attempt.instance
            kept = earlier.event.sort in (history.PERSIST, history.UPDATE_PERSIST)
            distance = abs((earlier.generation or int(earlier.answered))
                           - (attempt.generation or int(attempt.answered)))
            # What the store put into a later generation counted in the one that was collected.
            near = distance <= (2 if earlier.effect == MAYBE or attempt.code != "OK" else
                                1 if kept or sort == history.PERSIST else 0)
            same = (earlier.effect == APPLIED and attempt.code == "OK"
                    and earlier.generation == attempt.generation)
            # The generation that was collected, not one that the store chose.
            sure = (same and here
                    and int(earlier.sent - 0.3) == earlier.generation == int(attempt.answered))
            possible = possible or near
            certain = certain or sure or (
                same and sort == earlier.event.sort == history.PERSIST
                and int(earlier.sent - 0.3) == earlier.generation == int(attempt.answered))
            if here and near and not kept:
                contrary = True
                certain_contrary = certain_contrary or sure
        words = ""
        if attempt.code == "OK" and sort in (history.PLAIN, history.PERSIST):
            if attempt.duplicate and not possible:
                words = "was answered as a duplicate, but is none"
            elif certain and not attempt.duplicate:
                words = "counted, though the table was published in this generation already"
        elif attempt.duplicate:
            words = "is an update, and was answered as a duplicate"
        elif sort == history.UPDATE_PERSIST:
            if attempt.code == "FAILED_PRECONDITION" and not contrary:
                words = "was refused, though it was not published without `persist`"
            elif attempt.code == "OK" and certain_contrary:
                words = "was taken, though it was published without `persist`"
        if words:
            mismatches.append(Mismatch(attempt.generation or int(attempt.answered), table,
                                       f"{sort} of {identity} {words}"))
    return mismatches


def _judge_order(recording):
    """Queries never go back to an older snapshot."""
    mismatches = []
    newest = (0, 0)
    for _, generation, revision in recording.newest_seen:
        if (generation, revision) < newest:
            mismatches.append(Mismatch(generation, "", f"revision {revision} was the newest "
                                       f"after {newest} had been"))
        newest = max(newest, (generation, revision))
    return mismatches


def judge(recording, until=float("inf")):
    """Judges a recording; snapshots of generations after `until` are left out, because they
    may not be settled yet."""
    facts = _Facts(recording, until)
    mismatches, lost = _judge_shards(recording, facts)
    mismatches += _judge_answers(recording)
    mismatches += _judge_order(recording)
    mismatches += [Mismatch(0, "", fault) for fault in recording.faults]
    names = {each.event.table.lower() for each in recording.attempts}
    counts = collections.Counter()
    for name in sorted(names):
        table = _TableModel(name, recording, facts)
        table.judge()
        mismatches += table.mismatches
        counts["states at most"] = max(counts["states at most"], table.most_states)
    for (generation, revision), snapshot in recording.snapshots.items():
        if generation in facts.manifests:
            for name in set(snapshot.tables) - names:
                mismatches.append(Mismatch(generation, name, "nobody published it"))
    counts["generations"] = len(facts.manifests)
    counts["generations compared"] = sum(
        1 for generation, manifest in facts.manifests.items()
        if manifest.revision in facts.captured.get(generation, ()))
    counts["snapshots compared"] = sum(len(facts.captured.get(generation, ()))
                                       for generation in facts.manifests)
    counts["shards lost with a killed process"] = lost
    return Verdict(sorted(mismatches, key=lambda each: each.generation), counts)
