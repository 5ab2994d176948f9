"""The states that one table may have, generation by generation.

What was acknowledged has one outcome. What got no answer may have happened or not, but whole
or not at all: the model goes on with each possible state, and every snapshot leaves those that
agree with it. A snapshot with which none agrees is a mismatch.
"""

import collections
import dataclasses

from testing.model import compare, history, rules
from testing.model.recording import APPLIED, MAYBE, NONE

# Far more possible states than any run should need.
_MOST_STATES = 5000
# Beyond this, two publishes are not in one generation.
NEAR_SECONDS = 10.0
# A generation's beginning may be late by this in a process that has much to do.
TICK_SECONDS = 0.3

# No snapshot stays the newest for so long.
_OLDEST_SECONDS = 60

_FOR_GOOD = (history.PERSIST, history.UPDATE_PERSIST)


@dataclasses.dataclass
class Mismatch:
    """A snapshot, or an answer, that the rules do not allow."""

    generation: int
    table: str
    words: str

    def __str__(self):
        where = f"table {self.table}" if self.table else "the snapshot"
        return f"generation {self.generation}: {where}: {self.words}"


def window(attempt):
    """The generations in which it may have taken effect, first and last."""
    drops = isinstance(attempt.event, history.DropPersistent)
    latest = int(attempt.answered) + 1
    # Before the first generation is sealed the newest one is 0.
    oldest = int(attempt.sent) - _OLDEST_SECONDS
    if drops and attempt.event.ahead:
        return attempt.generation, max(attempt.generation, latest)
    static = isinstance(attempt.event, history.DropStatic) or (
        not drops and attempt.event.sort == history.STATIC)
    if attempt.effect == APPLIED:
        if drops:
            return max(attempt.newest, oldest), max(attempt.newest, latest)
        if static:
            # Visible at once; the answer may name a snapshot that came a moment later.
            return (min(max(attempt.newest, oldest), attempt.generation), attempt.generation)
        return attempt.generation, attempt.generation
    earliest = int(attempt.sent) - 1
    if drops or static:
        earliest = min(earliest, max(attempt.newest, oldest))
    return earliest, latest


class TableModel:
    """Judges one table of a recording."""

    def __init__(self, name, recording, facts):
        self._name = name
        self._recording = recording
        self._facts = facts
        self._events = {}
        self._by_generation = collections.defaultdict(list)
        self._of_identity = collections.defaultdict(list)
        self._carried_columns = set()
        self._kept = False  # The store makes some of it.
        self._made = {}  # What rules.collect() gave.
        for attempt in recording.attempts:
            if attempt.event.table.lower() != name:
                continue
            if attempt.effect != NONE:
                self._add(attempt)
            elif attempt.duplicate and attempt.event.sort in _FOR_GOOD:
                self._of_identity[attempt.event.identity].append(attempt)
        self.mismatches = []
        self.most_states = 1

    def _add(self, attempt):
        event = attempt.event
        self._events[attempt.index] = event
        low, high = window(attempt)
        for generation in range(low, high + 1):
            self._by_generation[generation].append(attempt)
        if not isinstance(event, history.Publish):
            self._kept = True
            return
        self._of_identity[event.identity].append(attempt)
        self._kept = self._kept or event.sort not in (history.PLAIN, history.UPDATE)
        if event.sort not in (history.PLAIN, history.STATIC):
            self._carried_columns |= {name.lower() for name, _, _ in event.columns}

    def judge(self):
        states = {rules.State()}
        last = max(self._facts.manifests, default=0)
        for generation in sorted(set(self._by_generation) | set(self._facts.manifests)):
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
        manifest = self._facts.manifests.get(generation)
        # With each state, what each ingest process applied, (instance, indices of attempts),
        # and the shards that have ended what their identities carried.
        possible = set()
        for state in states:
            ripe = {each for each in state.dropping if each[1] <= generation}
            begun = dataclasses.replace(state, dropping=state.dropping - ripe)
            for identity, first in ripe:
                begun = begun.drop_from(identity, first)
            possible.add((begun, frozenset(), frozenset()))
        for attempt in self._by_generation.get(generation, ()):
            if (isinstance(attempt.event, history.DropPersistent) and not attempt.event.ahead
                    and window(attempt)[0] < generation):
                # What was put for this generation may wait still, for its snapshot to be made.
                possible |= self._after(attempt, generation, possible)
        for attempt in self._by_generation.get(generation, ()):
            if manifest and getattr(attempt.event, "sort", "") in _FOR_GOOD:
                for shard in manifest.shards:
                    possible = self._end_before(attempt, shard, manifest, possible)
            possible = self._after(attempt, generation, possible)
        possible = {(self._forget(state, generation), applied, ended)
                    for state, applied, ended in possible}
        if manifest is None:
            return {state for state, _, _ in possible}
        return self._compare(generation, manifest, {
            (over, applied) for state, applied, ended in possible
            for over in self._end(state, applied, ended, manifest)})

    def _end_before(self, attempt, shard, manifest, possible):
        """A process that stops hands in its shard before the generation's end; what is put
        after that is not ended by it."""
        instance = self._facts.instances.get(shard.shard_id)
        if instance is None or attempt.answered < shard.sealed_at:
            return possible
        generation = manifest.generation
        gone = self._recording.ingest_lives[instance[0]][instance[1]].gone
        surely = gone is not None and gone < attempt.sent
        result = set()
        for state, applied, ended in possible:
            made = self._collected(applied, manifest).get(shard.shard_id)
            if made is None or shard.shard_id in ended:
                result.add((state, applied, ended))
                continue
            if not surely:
                result.add((state, applied, ended))
            for identity in made.identities:
                state = state.drop_from(identity, generation)
            result.add((state, applied, ended | {shard.shard_id}))
        return result

    def _after(self, attempt, generation, possible):
        low, high = window(attempt)
        result = set()
        for state, applied, ended in possible:
            if attempt.index in state.done:
                result.add((state, applied, ended))
                continue
            if attempt.effect != APPLIED or generation != high:
                result.add((state, applied, ended))  # Not now.
            for changed, now_applied in self._outcomes(attempt, generation, state, applied):
                if low != high:
                    changed = dataclasses.replace(changed, done=changed.done | {attempt.index})
                result.add((changed, now_applied, ended))
        return result

    def _outcomes(self, attempt, generation, state, applied):
        """What there may be after an attempt that takes effect now."""
        event = attempt.event
        if isinstance(event, history.DropStatic):
            return [(dataclasses.replace(state, static=None), applied)]
        if isinstance(event, history.DropPersistent):
            dropped = (state.drop_from(event.identity, attempt.generation) if event.ahead else
                       state.drop_at_once(event.identity, attempt.index))
            return [(dropped, applied)]
        if event.sort == history.STATIC:
            return [(state.put_static(event), applied)]
        if event.sort in _FOR_GOOD:
            return [(state.put(event, attempt.index, generation), applied)]
        outcomes = []
        forwarded = event.sort == history.UPDATE and self._forwarded(attempt)
        if forwarded is not True:
            made = dict(applied)
            made[attempt.instance] = made.get(attempt.instance, ()) + (attempt.index,)
            outcomes.append((state, frozenset(made.items())))
        if forwarded is not False:
            put = state.put(event, attempt.index, generation)
            outcomes.append((dataclasses.replace(
                put, dropping=put.dropping | {(event.identity, generation + 1)}), applied))
            if attempt.effect == MAYBE:  # Changed, but the drop was not sent any more.
                outcomes.append((put, applied))
        return outcomes

    def _forwarded(self, attempt):
        """Whether an update went to the store, because its identity had persisted the table in
        this generation: True, False, or None where it is open."""
        possible = False
        for earlier in reversed(self._of_identity[attempt.event.identity]):
            if earlier.answered < attempt.sent - NEAR_SECONDS:
                break
            if (earlier.index >= attempt.index or earlier.instance != attempt.instance
                    or earlier.event.sort not in _FOR_GOOD or earlier.effect == MAYBE):
                continue
            if earlier.effect == NONE:
                # A duplicate of what it published before: with `persist`, through a process
                # that is gone, or without.
                possible |= attempt.effect == MAYBE or attempt.generation == earlier.generation
                continue
            if earlier.generation == attempt.generation == int(earlier.sent - TICK_SECONDS):
                return True
            # The store may have put it into a later generation than was collected.
            if (attempt.effect == MAYBE
                    or int(earlier.sent) - 1 <= attempt.generation <= earlier.generation + 1):
                possible = True
        return None if possible else False

    def _forget(self, state, generation):
        """Attempts whose time is over need not be told apart."""
        done = frozenset(index for index in state.done
                         if window(self._facts.attempts[index])[1] > generation)
        return dataclasses.replace(state, done=done) if done != state.done else state

    def _collected(self, applied, manifest):
        """{shard id: the table that it has}, of the shards that are in the snapshot."""
        result = {}
        for instance, indices in applied:
            if indices not in self._made:
                self._made[indices] = rules.collect([self._events[index] for index in indices])
            for shard in manifest.shards:
                if shard.kind == "COLLECTED" and (
                        self._facts.instances.get(shard.shard_id) == instance):
                    result[shard.shard_id] = self._made[indices]
        return result

    def _end(self, state, applied, ended, manifest):
        """Ends the carrying for those who published without `persist`: at once if their shard
        was in its generation's first revision, else when it came."""
        generation = manifest.generation
        ending = set(state.ending)
        for shard_id, made in self._collected(applied, manifest).items():
            if shard_id in ended:
                continue
            key = (generation, shard_id)
            last = generation
            if key not in self._recording.on_time:
                last = max(last, int(self._recording.first_seen[key]) + 1)
            ending |= {(identity, generation, last) for identity, _ in state.carried
                       if identity in made.identities}
        states = {dataclasses.replace(state, ending=frozenset(ending))}
        for end in ending:
            identity, first, last = end
            after = set()
            for each in states:
                over = dataclasses.replace(each, ending=each.ending - {end})
                if over.drop_from(identity, first) == over:
                    after.add(over)  # It was put again.
                    continue
                after.add(over.drop_from(identity, first))
                if last > generation:
                    after.add(each)
            states = after
        return states

    def _compare(self, generation, manifest, candidates):
        reasons = set()
        states = set()
        for state, applied in candidates:
            candidate = compare.Candidate(self._name, state, self._collected(applied, manifest),
                                          self._carried_columns)
            reason = self._differs(generation, manifest, candidate)
            if reason:
                reasons.add(reason)
            else:
                states.add(state)
        if not states:
            likely = sorted(reasons, key=lambda words: (len(words), words))[:3]
            self.mismatches.append(Mismatch(generation, self._name, "; or ".join(likely)))
        return states

    def _differs(self, generation, manifest, candidate):
        # The store went on meanwhile: what it carries is no longer what it was then.
        late = self._kept and generation in self._facts.late
        reason = compare.manifest_differs(manifest, candidate, collected_only=late)
        if reason or late:
            return reason
        for revision in self._facts.captured.get(generation, ()):
            seen = self._recording.manifests.get((generation, revision))
            # What the store makes may change with each revision; the last one is judged.
            if seen is None or (self._kept and revision != manifest.revision):
                continue
            reason = compare.snapshot_differs(
                seen, self._recording.snapshots[generation, revision], candidate)
            if reason:
                return f"revision {revision}: {reason}"
        return ""
