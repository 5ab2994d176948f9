"""The model's rules, on recordings written by hand: what they allow, and what they do not."""

import dataclasses
import itertools
import sqlite3

import pytest

from testing.model import history, model, recording, rules
from testing.model.history import INTEGER, PERSIST, PLAIN, REAL, STATIC, TEXT, UPDATE, UPDATE_PERSIST

FIRST = 1000  # The first generation.


def publish(identity, sort, rows, keys=(), table="t"):
    """A publish of rows [(k, v), …] in the columns k and v."""
    columns = (("k", INTEGER, tuple(k for k, _ in rows)), ("v", TEXT, tuple(v for _, v in rows)))
    return history.Publish(0.0, identity, 0, table, sort, columns, tuple(keys))


class Run:
    """Writes a recording: one ingest process, whose generations last a second."""

    def __init__(self):
        self.recording = recording.Recording(["ingest"])
        self.recording.ingest_lives[0].append(recording.Life(FIRST - 1.0))
        self.recording.store_lives.append(recording.Life(FIRST - 1.0))
        self._index = itertools.count()
        self._generation = FIRST
        self._in_generation = itertools.count()

    def at(self, generation):
        self._generation = generation
        self._in_generation = itertools.count()

    def answer(self, event, code="OK", duplicate=False, generation=None, message=""):
        sent = self._generation + 0.35 + 0.01 * next(self._in_generation)
        answered = code == "OK"
        if generation is None:
            generation = self._generation
        self.recording.attempts.append(recording.Attempt(
            next(self._index), event,
            (0, len(self.recording.ingest_lives[0]) - 1)
            if isinstance(event, history.Publish) else None,
            sent, sent + 0.001, code, message, generation if answered else 0,
            duplicate, newest=self._generation - 1))

    def publish(self, identity, sort, rows, keys=(), **answer):
        self.answer(publish(identity, sort, rows, keys), **answer)

    def kill(self, at):
        """Kills the ingest process, and starts it again."""
        life = self.recording.ingest_lives[0][-1]
        life.ended, life.gone, life.killed = at, at, True
        self.recording.ingest_lives[0].append(recording.Life(at + 0.01))

    def snapshot(self, generation, collected=None, carried=None, static=None, seen=None,
                 revision=1, updated=False, updates=None, missing=False, sealed=None):
        """A snapshot whose table t has these rows in its parts; None: the part has no t.

        seen: what a query answers, if not that."""
        columns = (("k", INTEGER), ("v", TEXT))

        def shard(kind, rows, **more):
            tables = {} if rows is None else {"t": recording.ShardTable(
                columns, len(rows), updates if updates is not None else len(rows), updated)}
            return recording.Shard(f"{kind}-{generation}", kind, more.get("identity", ""),
                                   more.get("identity", ""), more.get("sealed", 0.0), tables)

        shards = []
        if carried is not None:
            shards.append(shard("PERSISTENT", carried))
        if not missing:
            shards.append(shard("COLLECTED", collected, identity="ingest",
                                sealed=sealed or generation + 1.001))
        if static is not None:
            shards.append(shard("STATIC", static))
        self.recording.add_manifest(recording.Manifest(
            generation, revision, True, tuple(shards), generation + 1.1), as_newest=True)
        parts = [part for part in (carried, collected if not missing else None)
                 if part is not None]
        rows = [row for part in parts for row in part]
        if not parts:
            rows = static
        if seen is not None:
            rows = seen
        tables, listed = {}, {}
        if rows is not None:
            tables["t"] = recording.Table(columns, tuple(rows))
            listed["t"] = (len(rows), not parts)
        self.recording.add_snapshot(recording.Snapshot(generation, revision, tables, listed))

    def mismatches(self):
        return [str(each) for each in model.judge(self.recording).mismatches]


@pytest.fixture
def run():
    return Run()


# Collected tables.


def test_what_was_acknowledged_is_there(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.publish("b", PLAIN, [(2, "y")])
    run.snapshot(FIRST, [(1, "x"), (2, "y")])
    assert run.mismatches() == []


def test_what_was_acknowledged_must_be_there(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.publish("b", PLAIN, [(2, "y")])
    run.snapshot(FIRST, [(1, "x"), (2, "y")], seen=[(1, "x")])
    assert "missing [{k=2, v='y'}]" in run.mismatches()[0]


def test_a_table_is_in_its_generation_alone(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.snapshot(FIRST, [(1, "x")])
    run.at(FIRST + 1)
    run.snapshot(FIRST + 1, [(1, "x")])
    assert "generation 1001" in run.mismatches()[0]


def test_a_wrong_value_is_seen(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.snapshot(FIRST, [(1, "y")])
    assert run.mismatches()


def test_half_a_publish_is_seen(run):
    run.publish("a", PLAIN, [(1, "x"), (2, "y")], code="UNAVAILABLE", message="lost")
    run.snapshot(FIRST, [(1, "x")], updates=1)
    assert run.mismatches()


@pytest.mark.parametrize("there", [True, False])
def test_what_got_no_answer_may_be_there(run, there):
    run.publish("a", PLAIN, [(1, "x")])
    run.publish("b", PLAIN, [(2, "y")], code="UNAVAILABLE", message="lost")
    run.snapshot(FIRST, [(1, "x")] + [(2, "y")] * there)
    assert run.mismatches() == []


def test_what_was_refused_is_not_there(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.publish("b", PLAIN, [(2, "y")], code="INVALID_ARGUMENT")
    run.snapshot(FIRST, [(1, "x"), (2, "y")])
    assert run.mismatches()


def test_a_duplicate_changes_nothing(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.publish("a", PLAIN, [(2, "y")], duplicate=True)
    run.snapshot(FIRST, [(1, "x")])
    assert run.mismatches() == []


def test_a_duplicate_that_counted_is_seen(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.publish("a", PLAIN, [(2, "y")])
    run.snapshot(FIRST, [(1, "x"), (2, "y")])
    assert "published in this generation already" in run.mismatches()[0]


def test_a_duplicate_of_nothing_is_seen(run):
    run.publish("a", PLAIN, [(1, "x")], duplicate=True)
    run.snapshot(FIRST)
    assert "is none" in run.mismatches()[0]


def test_generations_never_fall(run):
    run.publish("a", PLAIN, [(1, "x")], generation=FIRST)
    run.publish("b", PLAIN, [(2, "y")], generation=FIRST - 1)
    assert any("after it had acknowledged" in words for words in run.mismatches())


def test_update_changes_rows_whoever_published_them(run):
    run.publish("a", PLAIN, [(1, "x"), (2, "x"), (1, "z")])
    run.publish("b", UPDATE, [(1, "y"), (3, "n")], keys=["k"])
    run.snapshot(FIRST, [(1, "y"), (2, "x"), (1, "y"), (3, "n")], updated=True, updates=2)
    assert run.mismatches() == []


def test_update_that_added_instead_is_seen(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.publish("b", UPDATE, [(1, "y")], keys=["k"])
    run.snapshot(FIRST, [(1, "x"), (1, "y")], updated=True, updates=2)
    assert run.mismatches()


def test_update_without_keys_goes_by_all_columns(run):
    run.publish("a", UPDATE, [(1, "x"), (1, "x"), (1, "y")])
    run.snapshot(FIRST, [(1, "x"), (1, "y")], updated=True, updates=1)
    assert run.mismatches() == []


def test_a_killed_process_takes_all_of_its_generation_with_it(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.kill(FIRST + 0.5)
    run.snapshot(FIRST, missing=True)
    assert run.mismatches() == []


def test_a_process_that_was_asked_to_end_loses_nothing(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.kill(FIRST + 0.5)
    run.recording.ingest_lives[0][0].killed = False
    run.snapshot(FIRST, missing=True)
    assert "was not killed" in run.mismatches()[0]


def test_a_shard_is_not_missing_long_after_it_could_be_handed_in(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.kill(FIRST + 60)
    run.snapshot(FIRST, missing=True)
    assert "was not killed before" in run.mismatches()[0]


def test_a_shard_does_not_go_away_again(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.kill(FIRST + 0.5)
    run.snapshot(FIRST, [(1, "x")], sealed=FIRST + 0.49)
    run.snapshot(FIRST, revision=2, missing=True)
    assert any("are gone" in words for words in run.mismatches())


def test_a_table_that_nobody_published_is_seen(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.snapshot(FIRST, [(1, "x")])
    snapshot = run.recording.snapshots[FIRST, 1]
    snapshot.tables["other"] = snapshot.tables["t"]
    assert "nobody" in run.mismatches()[0]


# Carried tables.


def test_a_persistent_table_is_in_every_later_snapshot(run):
    run.publish("a", PERSIST, [(1, "x")])
    for generation in range(FIRST, FIRST + 5):
        run.snapshot(generation, carried=[(1, "x")])
    assert run.mismatches() == []


def test_a_persistent_table_that_is_lost_is_seen(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.snapshot(FIRST, carried=[(1, "x")])
    run.snapshot(FIRST + 1)
    assert "nothing is carried" in run.mismatches()[0]


def test_a_later_put_replaces_it(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.publish("b", PERSIST, [(5, "b")])
    run.snapshot(FIRST, carried=[(1, "x"), (5, "b")])
    run.at(FIRST + 1)
    run.publish("a", PERSIST, [(2, "y")])
    run.snapshot(FIRST + 1, carried=[(2, "y"), (5, "b")])
    assert run.mismatches() == []


def test_a_put_is_not_in_earlier_snapshots(run):
    run.at(FIRST + 1)
    run.publish("a", PERSIST, [(1, "x")])
    run.snapshot(FIRST, carried=[(1, "x")])
    run.snapshot(FIRST + 1, carried=[(1, "x")])
    assert "generation 1000" in run.mismatches()[0]


def test_publishing_without_persist_ends_it(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.snapshot(FIRST, carried=[(1, "x")])
    run.at(FIRST + 1)
    run.publish("a", PLAIN, [(2, "y")])
    run.snapshot(FIRST + 1, [(2, "y")])
    run.snapshot(FIRST + 2)
    assert run.mismatches() == []


def test_carrying_that_does_not_end_is_seen(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.snapshot(FIRST, carried=[(1, "x")])
    run.at(FIRST + 1)
    run.publish("a", PLAIN, [(2, "y")])
    run.snapshot(FIRST + 1, [(2, "y")], carried=[(1, "x")], seen=[(1, "x")])
    assert run.mismatches()


@pytest.mark.parametrize("seen, right", [([(2, "y"), (5, "b")], True),
                                         ([(1, "x"), (5, "b")], False),
                                         ([(1, "x"), (2, "y"), (5, "b")], False)])
def test_a_late_shard_hides_what_its_snapshot_carries_still(run, seen, right):
    run.publish("a", PERSIST, [(1, "x")])
    run.publish("b", PERSIST, [(5, "b")])
    run.snapshot(FIRST, carried=[(1, "x"), (5, "b")])
    run.at(FIRST + 1)
    run.publish("a", PLAIN, [(2, "y")])
    run.snapshot(FIRST + 1, carried=[(1, "x"), (5, "b")], missing=True)
    run.snapshot(FIRST + 1, [(2, "y")], carried=[(1, "x"), (5, "b")], revision=2, seen=seen)
    assert (run.mismatches() == []) == right


def test_carrying_that_comes_back_is_seen(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.snapshot(FIRST, carried=[(1, "x")])
    run.at(FIRST + 1)
    run.publish("a", PLAIN, [(2, "y")])
    run.snapshot(FIRST + 1, [(2, "y")])
    run.snapshot(FIRST + 2, carried=[(1, "x")])
    assert "generation 1002" in run.mismatches()[0]


def test_a_shard_that_is_lost_ends_nothing(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.snapshot(FIRST, carried=[(1, "x")])
    run.at(FIRST + 1)
    run.publish("a", PLAIN, [(2, "y")])
    run.kill(FIRST + 1.5)
    run.snapshot(FIRST + 1, carried=[(1, "x")], missing=True)
    run.snapshot(FIRST + 2, carried=[(1, "x")])
    assert run.mismatches() == []


@pytest.mark.parametrize("there", [True, False])
def test_a_put_without_an_answer_is_there_for_good_or_not(run, there):
    run.publish("a", PERSIST, [(1, "x")], code="UNAVAILABLE", message="lost")
    for generation in range(FIRST, FIRST + 4):
        run.snapshot(generation, carried=[(1, "x")] if there else None)
    assert run.mismatches() == []


def test_a_put_without_an_answer_that_comes_and_goes_is_seen(run):
    run.publish("a", PERSIST, [(1, "x")], code="UNAVAILABLE", message="lost")
    run.snapshot(FIRST, carried=[(1, "x")])
    run.snapshot(FIRST + 1)
    assert run.mismatches()


def test_update_with_persist_changes_what_is_carried(run):
    run.publish("a", PERSIST, [(1, "x"), (2, "x")])
    run.snapshot(FIRST, carried=[(1, "x"), (2, "x")])
    run.at(FIRST + 1)
    run.publish("b", UPDATE_PERSIST, [(1, "y"), (3, "z")], keys=["k"])
    run.snapshot(FIRST + 1, carried=[(1, "y"), (2, "x"), (3, "z")])
    # The row that was changed is now carried for who changed it.
    run.at(FIRST + 2)
    run.publish("a", PERSIST, [])
    run.snapshot(FIRST + 2, carried=[(1, "y"), (3, "z")])
    assert run.mismatches() == []


def test_update_of_what_was_persisted_in_this_generation_ends_the_carrying_after_it(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.publish("a", UPDATE, [(1, "y")], keys=["k"])
    run.snapshot(FIRST, carried=[(1, "y")])
    run.snapshot(FIRST + 1)
    assert run.mismatches() == []


def test_what_is_put_after_a_shard_came_is_not_ended_by_it(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.snapshot(FIRST, carried=[(1, "x")])
    run.at(FIRST + 1)
    run.publish("a", PLAIN, [(2, "y")])
    run.kill(FIRST + 1.45)
    run.recording.ingest_lives[0][0].killed = False
    run.at(FIRST + 1.5)
    # The row that was carried is gone already, so this one is added.
    run.publish("a", UPDATE_PERSIST, [(1, "z")], keys=["k"], generation=FIRST + 1)
    run.snapshot(FIRST + 1, [(2, "y")], carried=[(1, "z")], seen=[(1, "z")], sealed=FIRST + 1.4)
    assert run.mismatches() == []


def test_an_update_after_a_restart_is_forwarded_when_persist_was_tried_again(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.kill(FIRST + 0.5)
    run.publish("a", PERSIST, [(5, "z")], duplicate=True)
    run.publish("a", UPDATE, [(1, "y")], keys=["k"])
    run.snapshot(FIRST, carried=[(1, "y")])
    run.snapshot(FIRST + 1)
    assert run.mismatches() == []


def test_a_drop_ends_it_in_the_newest_snapshot_or_the_one_being_made(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.snapshot(FIRST, carried=[(1, "x")])
    run.at(FIRST + 2)
    run.answer(history.DropPersistent(0.0, "t", "a", 0), generation=0)
    run.snapshot(FIRST + 1)
    run.snapshot(FIRST + 2)
    run.snapshot(FIRST + 3)
    assert run.mismatches() == []


def test_a_drop_that_has_no_effect_is_seen(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.snapshot(FIRST, carried=[(1, "x")])
    run.at(FIRST + 1)
    run.answer(history.DropPersistent(0.0, "t", "a", 0), generation=0)
    for generation in range(FIRST + 1, FIRST + 5):
        run.snapshot(generation, carried=[(1, "x")])
    assert run.mismatches()


@pytest.mark.parametrize("rows, right", [(1, True), (2, True), (3, False)])
def test_a_drop_may_come_before_what_waits_for_the_generations_end(run, rows, right):
    run.publish("a", PERSIST, [(1, "x"), (1, "z")])
    run.snapshot(FIRST, carried=[(1, "x"), (1, "z")])
    run.at(FIRST + 1)
    run.publish("b", UPDATE_PERSIST, [(1, "y")], keys=["k"])
    # Before the update it takes what that would have changed.
    run.answer(history.DropPersistent(0.0, "t", "a", 0), generation=0)
    run.snapshot(FIRST + 1, carried=[(1, "y")] * rows)
    assert (run.mismatches() == []) == right


def test_a_drop_from_a_generation_on(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.answer(history.DropPersistent(0.0, "t", "a", 2), generation=FIRST + 2)
    run.snapshot(FIRST, carried=[(1, "x")])
    run.snapshot(FIRST + 1, carried=[(1, "x")])
    run.snapshot(FIRST + 2)
    assert run.mismatches() == []


def test_an_identity_counts_once_where_it_is_carried_and_collected(run):
    run.publish("a", PERSIST, [(1, "x")])
    run.kill(FIRST + 0.6)
    run.at(FIRST + 0.5)
    run.publish("a", PLAIN, [(2, "y")], generation=FIRST)
    run.snapshot(FIRST, [(2, "y")], carried=[(1, "x")], seen=[(1, "x")])
    assert run.mismatches() == []


def test_update_and_persist_after_publishing_without(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.publish("a", UPDATE_PERSIST, [(1, "y")], code="FAILED_PRECONDITION")
    run.snapshot(FIRST, [(1, "x")])
    assert run.mismatches() == []
    run.publish("a", UPDATE_PERSIST, [(1, "y")])
    assert any("was taken" in words for words in run.mismatches())


def test_update_and_persist_refused_for_no_reason(run):
    run.publish("a", UPDATE_PERSIST, [(1, "y")], code="FAILED_PRECONDITION")
    assert "was refused" in run.mismatches()[0]


# Static tables.


def test_a_static_table_stays_until_it_is_replaced_or_dropped(run):
    run.at(FIRST + 1)
    run.publish("a", STATIC, [(1, "x")], generation=FIRST)
    run.snapshot(FIRST, static=[(1, "x")])
    run.snapshot(FIRST + 1, static=[(1, "x")])
    run.at(FIRST + 3)
    run.publish("b", STATIC, [(2, "y")], generation=FIRST + 2)
    run.snapshot(FIRST + 2, static=[(2, "y")])
    run.snapshot(FIRST + 3, static=[(2, "y")])
    run.at(FIRST + 5)
    run.answer(history.DropStatic(0.0, "t"), generation=FIRST + 4)
    run.snapshot(FIRST + 4)
    assert run.mismatches() == []


def test_a_static_table_is_there_before_the_first_generation_is_sealed(run):
    run.at(FIRST + 1)
    run.publish("a", STATIC, [(1, "x")], generation=0)
    run.publish("a", STATIC, [(2, "y")], generation=FIRST)
    run.recording.attempts = [dataclasses.replace(each, newest=0)
                              for each in run.recording.attempts]
    run.snapshot(FIRST, static=[(2, "y")])
    assert run.mismatches() == []


def test_a_static_table_that_is_lost_is_seen(run):
    run.publish("a", STATIC, [(1, "x")])
    run.snapshot(FIRST, static=[(1, "x")])
    run.snapshot(FIRST + 1)
    assert "it is not there" in run.mismatches()[0]


def test_a_published_table_hides_a_static_one(run):
    run.publish("a", STATIC, [(1, "x")], generation=FIRST)
    run.publish("a", PLAIN, [(2, "y")])
    run.snapshot(FIRST, [(2, "y")], static=[(1, "x")])
    run.snapshot(FIRST + 1, static=[(1, "x")])
    assert run.mismatches() == []


# Snapshots.


def test_queries_do_not_go_back(run):
    run.recording.newest_seen += [(1.0, FIRST, 2), (2.0, FIRST, 1)]
    assert "was the newest after" in run.mismatches()[0]


def test_one_revision_has_one_content(run):
    run.publish("a", PLAIN, [(1, "x")])
    run.snapshot(FIRST, [(1, "x")])
    run.snapshot(FIRST, [(1, "x")], seen=[(1, "z")])
    assert "different contents" in run.mismatches()[0]


# Values.

_VALUES = (None, 0, 3, 4, 0.5, 3.5, "x", "", "4", "0.5", "4.0", "Zoë", b"\x01\x00")


@pytest.mark.parametrize("type_, name", [(INTEGER, "INTEGER"), (REAL, "REAL"), (TEXT, "TEXT"),
                                         (history.BLOB, "BLOB")])
def test_fits_and_canonical_are_as_sqlite_stores(type_, name):
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE t (c {name})")
    for value in _VALUES:
        database.execute("INSERT INTO t VALUES (?)", (value,))
        (stored,) = database.execute("SELECT c FROM t").fetchone()
        database.execute("DELETE FROM t")
        assert rules.fits(stored, type_), (value, stored)
        assert rules.canonical(stored) == rules.canonical(value)
        unchanged = type(stored) is type(value) and stored == value
        assert unchanged or not rules.fits(value, type_), (value, stored)


def test_update_finds_rows_as_sqlite_does():
    database = sqlite3.connect(":memory:")
    for type_, name in ((INTEGER, "INTEGER"), (REAL, "REAL"), (TEXT, "TEXT")):
        database.execute("DROP TABLE IF EXISTS t")
        database.execute(f"CREATE TABLE t (k {name})")
        for stored, wanted in itertools.product((None, 3, 3.5, "x", "", "4"), repeat=2):
            database.execute("DELETE FROM t")
            database.execute("INSERT INTO t VALUES (?)", (stored,))
            (found,) = database.execute("SELECT count(*) FROM t WHERE k IS ?",
                                        (wanted,)).fetchone()
            rows = [("a", rules.row_of(["k"], [stored]))]
            rules.update_rows(rows, history.Publish(
                0.0, "b", 0, "t", UPDATE, (("k", type_, (wanted,)),)))
            assert found == (len(rows) == 1), (name, stored, wanted)
