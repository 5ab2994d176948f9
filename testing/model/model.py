"""Judges a recording by the rules of behaviour.

rules.py has the rules of a table, possible.py the states that a table may have, compare.py how
these look in a snapshot. Here are the judgement of everything, and the rules about shards,
answers and the order of snapshots:

  - A shard is in its generation's snapshot whole or not at all. It may be missing only where
    its process was killed before it could hand it in.
  - Generations never fall, neither in acknowledgements nor in the newest snapshot.
  - The same table from the same identity counts once a generation.
"""

import collections
import dataclasses

from testing.model import history
from testing.model.possible import NEAR_SECONDS, TICK_SECONDS, Mismatch, TableModel
from testing.model.recording import APPLIED, MAYBE, NONE

# How long a shard takes to be handed in at most, once the store is there.
_HAND_IN_SECONDS = 8.0


@dataclasses.dataclass
class Verdict:
    mismatches: list  # of Mismatch, by generation
    counts: collections.Counter


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
        self.late = recording.announced_late()
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
            if earlier.answered < attempt.sent - NEAR_SECONDS:
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
                    and int(earlier.sent - TICK_SECONDS) == earlier.generation == int(attempt.answered))
            possible = possible or near
            certain = certain or sure or (
                same and sort == earlier.event.sort == history.PERSIST
                and int(earlier.sent - TICK_SECONDS) == earlier.generation == int(attempt.answered))
            if here and near and not kept:
                contrary = True
                certain_contrary = certain_contrary or sure
            # After a publish with `persist`, an update goes to the store as well.
            if here and near and kept:
                certain_contrary = False
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
        table = TableModel(name, recording, facts)
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
    counts["generations announced after a later one"] = len(facts.late & set(facts.manifests))
    counts["shards lost with a killed process"] = lost
    return Verdict(sorted(mismatches, key=lambda each: each.generation), counts)
