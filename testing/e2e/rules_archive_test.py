"""The rules of behaviour, Archive. The sentence, and the tests that show its parts:

"With an archive directory set, each sealed generation is kept as one ordinary SQLite file that
`sqlite3` opens."
    test_archive_each_sealed_generation_is_one_file
    test_archive_a_file_is_one_ordinary_sqlite_database_with_the_whole_snapshot
    test_archive_outlives_the_store_that_made_it
    test_archive_there_is_none_without_a_directory
"""

import os
import sqlite3

import pytest

from testing.e2e import system, tables
from testing.e2e.tables import BLOB, INTEGER, REAL, TEXT

FLAGS = {"store": {"--retain": 3, "--archive-dir": "{directory}/archive"}}


def archive_of(qasino):
    return os.path.join(qasino.directory, "archive")


def archived(qasino):
    """The generations of the files, ascending; there is nothing else, but for a file that is
    being written."""
    names = [name for name in os.listdir(archive_of(qasino)) if not name.startswith(".")]
    assert all(name.endswith(".sqlite") for name in names), names
    return sorted(int(name.removesuffix(".sqlite")) for name in names)


def opened(qasino, generation):
    """A file, as any program opens it, when it is there."""
    path = os.path.join(archive_of(qasino), f"{generation}.sqlite")
    system.wait_for(lambda: os.path.exists(path), f"the file of generation {generation}")
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def test_archive_each_sealed_generation_is_one_file(qasino):
    client = qasino.client
    first = client.wait_for_a_new_generation()
    client.wait_for_generation(first + 5)
    system.wait_for(lambda: first + 4 in archived(qasino), "a file of a generation that has ended")
    there = archived(qasino)
    # Also those that the store holds no more; in each second one began.
    assert set(range(first, first + 5)) <= set(there)
    assert first not in client.generations()


def test_archive_a_file_is_one_ordinary_sqlite_database_with_the_whole_snapshot(qasino):
    client, last = qasino.client, len(qasino.ingests) - 1
    columns = {"i": (INTEGER, [1, None, 2**63 - 1]), "r": (REAL, [0.5, -1e300, None]),
               "t": (TEXT, ["x", "\u20ac", None]), "b": (BLOB, [b"\0\xff", b"", None])}
    client.publish("h3", tables.table("archived_static", {"n": (INTEGER, [3])}), static=True)
    client.publish("h4", tables.table("archived_kept", {"n": (INTEGER, [4])}), persist=True)
    generation, _ = client.in_one_generation(
        lambda: client.publish("h1", tables.table("archived", columns)),
        lambda: client.publish("h2", tables.table("archived", {"more": (TEXT, ["y"])}), last))
    client.whole_manifest(generation)
    database = opened(qasino, generation)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = database.execute("SELECT i, r, t, b, more FROM archived ORDER BY rowid").fetchall()
    expected = list(zip(*(cells for _, cells in columns.values()), [None] * 3))
    assert sorted(rows, key=repr) == sorted(expected + [(None, None, None, None, "y")], key=repr)
    assert database.execute("SELECT n FROM archived_static").fetchall() == [(3,)]
    assert database.execute("SELECT n FROM archived_kept").fetchall() == [(4,)]
    assert database.execute("SELECT generation_number FROM qasino_server_info").fetchall() == [
        (generation,)]
    names = {name for (name,) in database.execute("SELECT tablename FROM qasino_server_tables")}
    assert {"archived", "archived_static", "archived_kept", "qasino_server_tables"} <= names
    types = database.execute("SELECT name, type FROM pragma_table_info('archived')").fetchall()
    assert types[:4] == [("i", "INTEGER"), ("r", "REAL"), ("t", "TEXT"), ("b", "BLOB")]
    # One file: nothing beside it that belongs to it.
    beside = [name for name in os.listdir(archive_of(qasino)) if str(generation) in name]
    assert beside == [f"{generation}.sqlite"]


@pytest.mark.parametrize("how", ["crash", "terminate"])
def test_archive_outlives_the_store_that_made_it(start, how):
    qasino = start(FLAGS, relayed=True)
    client = qasino.client
    generation = client.publish("h1", tables.table("old", {"n": (INTEGER, [1])})).generation
    assert opened(qasino, generation).execute("SELECT n FROM old").fetchall() == [(1,)]
    before = archived(qasino)
    getattr(qasino, how)()
    if how == "terminate":
        # The newest as well.
        assert archived(qasino)[-1] >= before[-1]
        assert not [name for name in os.listdir(archive_of(qasino)) if name.startswith(".")]
    qasino.restart()
    again = client.publish("h1", tables.table("old", {"n": (INTEGER, [2])})).generation
    assert opened(qasino, again).execute("SELECT n FROM old").fetchall() == [(2,)]
    assert set(before) <= set(archived(qasino))
    assert opened(qasino, generation).execute("SELECT n FROM old").fetchall() == [(1,)]


def test_archive_there_is_none_without_a_directory(start):
    qasino = start()
    generation = qasino.client.publish("h1", tables.table("t", {"n": (INTEGER, [1])})).generation
    qasino.client.wait_for_generation(generation + 1)
    found = [name for _, _, names in os.walk(qasino.directory) for name in names
             if name.removesuffix(".sqlite").isdigit()]
    assert found == []
