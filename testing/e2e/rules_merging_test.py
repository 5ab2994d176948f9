"""The rules of behaviour, Merging. Each sentence, and the test that shows it:

"Rows of one table name from different identities are merged."
    test_merging_rows_of_one_table_name_from_different_identities_are_merged
    test_merging_is_by_table_name_without_case
"The same table from the same identity counts once a generation: a second one changes nothing (gRPC
answers so; the legacy adapters answer ok, as they always did)."
    test_merging_the_same_table_from_the_same_identity_counts_once_a_generation
    test_merging_a_stream_answers_a_duplicate_as_well
    test_merging_the_same_table_and_identity_through_two_ingest_processes_counts_once
    (The legacy adapters are not there yet.)
"The merged schema is the union of the columns; where a row lacks a column it is NULL; a column
keeps the type that came first, and cells of another type are stored as SQLite stores them."
    test_merging_the_schema_is_the_union_of_the_columns
    test_merging_where_a_row_lacks_a_column_it_is_null
    test_merging_a_column_keeps_the_type_that_came_first
    test_merging_cells_of_another_type_are_stored_as_sqlite_stores_them
"Column order: as first seen."
    test_merging_columns_are_in_the_order_first_seen
"""

import sqlite3

import pytest
from qasino.v1 import ingest_pb2

from testing.e2e import system, tables
from testing.e2e.tables import BLOB, INTEGER, REAL, TEXT

FLAGS = {"store": {"--retain": 100}}


@pytest.fixture(name="publish")
def publish_fixture(qasino):
    """A function that publishes [(identity, table), ...] in one generation, spread over the
    ingest processes in that order, and returns the generation. Where columns and types are
    disputed, the first ingest process counts first."""

    def publish(publishes, spread=True):
        last = len(qasino.ingests) - 1
        generation, responses = qasino.client.in_one_generation(*[
            lambda number=number, identity=identity, table=table: qasino.client.publish(
                identity, table, min(number, last) if spread else 0)
            for number, (identity, table) in enumerate(publishes)])
        assert not any(response.duplicate for response in responses)
        return generation

    return publish


# Through one ingest process, whose shard is merged as it comes in; and through all.
SPREAD = pytest.mark.parametrize("spread", [False, True], ids=["one-ingest", "all-ingests"])


@SPREAD
def test_merging_rows_of_one_table_name_from_different_identities_are_merged(qasino, publish,
                                                                            spread):
    generation = publish([(f"h{n}", tables.table("merged", {"n": (INTEGER, [n, n + 10])}))
                          for n in range(4)], spread)
    answer = qasino.client.answer_of(generation, "SELECT n FROM merged ORDER BY n")
    assert answer.column("n") == [0, 1, 2, 3, 10, 11, 12, 13]


@SPREAD
def test_merging_is_by_table_name_without_case(qasino, publish, spread):
    generation = publish([("h1", tables.table("Cased", {"Host": (TEXT, ["a"])})),
                          ("h2", tables.table("cASED", {"hOST": (TEXT, ["b"])}))], spread)
    answer = qasino.client.answer_of(generation, "SELECT * FROM CASED ORDER BY 1")
    assert answer.columns == ["Host"]
    assert answer.rows == [("a",), ("b",)]
    assert "Cased" in qasino.client.table_names_of(generation)


def test_merging_the_same_table_from_the_same_identity_counts_once_a_generation(qasino):
    client = qasino.client
    generation, (first, second, third) = client.in_one_generation(
        lambda: client.publish("h1", tables.table("once", {"n": (INTEGER, [1, 2])})),
        lambda: client.publish("h1", tables.table("ONCE", {"n": (INTEGER, [3]),
                                                           "more": (INTEGER, [4])})),
        lambda: client.publish("h1", tables.table("once", {"n": (INTEGER, [])})))
    assert (first.duplicate, second.duplicate, third.duplicate) == (False, True, True)
    answer = client.answer_of(generation, "SELECT * FROM once ORDER BY n")
    assert (answer.columns, answer.rows) == (["n"], [(1,), (2,)])
    updates = client.answer_of(
        generation, "SELECT nr_rows, nr_updates FROM qasino_server_tables WHERE tablename = 'once'")
    assert updates.rows == [(2, 1)]


def test_merging_the_same_table_from_the_same_identity_counts_again_in_the_next_generation(qasino):
    client = qasino.client
    generations = {}
    while len(generations) < 3:
        number = len(generations)
        response = client.publish("h1", tables.table("anew", {"n": (INTEGER, [number])}))
        if not response.duplicate:
            generations[response.generation] = number
    for generation, number in generations.items():
        assert client.answer_of(generation, "SELECT n FROM anew").rows == [(number,)]


def test_merging_a_stream_answers_a_duplicate_as_well(qasino):
    def attempt():
        qasino.client.wait_for_a_new_generation()
        request = ingest_pb2.PublishStreamRequest(publishes=[
            ingest_pb2.PublishRequest(identity="h1", table=tables.table(
                "streamed_twice", {"n": (INTEGER, [n])})) for n in range(3)])
        results = [result for response in qasino.client.ingests[0].PublishStream(
            iter([request]), timeout=system.DEADLINE) for result in response.results]
        assert [result.code for result in results] == [0, 0, 0]
        return results if len({result.generation for result in results}) == 1 else None

    results = system.wait_for(attempt, "three publishes in one generation")
    assert [result.duplicate for result in results] == [False, True, True]
    answer = qasino.client.answer_of(results[0].generation, "SELECT n FROM streamed_twice")
    assert answer.rows == [(0,)]


def test_merging_the_same_table_and_identity_through_two_ingest_processes_counts_once(qasino,
                                                                                     publish):
    if len(qasino.ingests) == 1:
        pytest.skip("one ingest process")
    generation = publish([("h1", tables.table("both_ways", {"n": (INTEGER, [1])})),
                          ("h1", tables.table("both_ways", {"n": (INTEGER, [2, 3])}))])
    # Which of them is not said; the rows of the other are not there.
    answer = qasino.client.answer_of(generation, "SELECT n FROM both_ways ORDER BY n")
    assert answer.rows in ([(1,)], [(2,), (3,)])


@SPREAD
def test_merging_the_schema_is_the_union_of_the_columns(qasino, publish, spread):
    generation = publish([
        ("h1", tables.table("united", {"a": (INTEGER, [1])})),
        ("h2", tables.table("united", {"b": (TEXT, ["x"]), "A": (INTEGER, [2])})),
        ("h3", tables.table("united", {"c": (REAL, [0.5])})),
        ("h4", tables.table("united", {"b": (TEXT, []), "d": (BLOB, [])}))], spread)
    answer = qasino.client.answer_of(generation, "SELECT * FROM united")
    assert sorted(name.lower() for name in answer.columns) == ["a", "b", "c", "d"]


@SPREAD
def test_merging_where_a_row_lacks_a_column_it_is_null(qasino, publish, spread):
    generation = publish([
        ("h1", tables.table("lacking", {"a": (INTEGER, [1]), "b": (TEXT, ["x"])})),
        ("h2", tables.table("lacking", {"c": (REAL, [0.5]), "a": (INTEGER, [2])})),
        ("h3", tables.table("lacking", {"c": (REAL, [1.5])}))], spread)
    answer = qasino.client.answer_of(generation, "SELECT a, b, c FROM lacking ORDER BY a")
    assert answer.rows == [(None, None, 1.5), (1, "x", None), (2, None, 0.5)]


@SPREAD
def test_merging_a_column_keeps_the_type_that_came_first(qasino, publish, spread):
    generation = publish([
        ("h1", tables.table("typed", {"a": (REAL, [1.0]), "b": (TEXT, ["x"])})),
        ("h2", tables.table("typed", {"b": (INTEGER, [1]), "a": (BLOB, [b"y"])}))], spread)
    answer = qasino.client.answer_of(generation, "DESC typed")
    assert [(name, type_.upper()) for name, type_ in answer.rows] == [("a", "REAL"), ("b", "TEXT")]


# A cell of each kind, and texts that look like numbers.
CELLS = [7, -3, 2.0, 2.5, 1e300, "5", " 6 ", "7.0", "7.5", "1e3", "0x10", "nine", "", b"\x00\xff",
         b"5", None, 2**63 - 1]
TYPES = {INTEGER: "INTEGER", REAL: "REAL", TEXT: "TEXT", BLOB: "BLOB"}


@SPREAD
def test_merging_cells_of_another_type_are_stored_as_sqlite_stores_them(qasino, publish, spread):
    first = {INTEGER: 0, REAL: 0.0, TEXT: "", BLOB: b""}
    other = {type_: REAL if type_ == INTEGER else INTEGER for type_ in TYPES}
    generation = publish([
        ("h1", tables.table("stored", {"n": (INTEGER, [-1]), **{
            f"c{type_}": (type_, [first[type_]]) for type_ in TYPES}})),
        ("h2", tables.table("stored", {"n": (INTEGER, list(range(len(CELLS)))), **{
            f"c{type_}": (other[type_], CELLS) for type_ in TYPES}}))], spread)
    for type_, word in TYPES.items():
        answer = qasino.client.answer_of(
            generation, f"SELECT c{type_}, typeof(c{type_}) FROM stored WHERE n >= 0 ORDER BY n")
        reference = sqlite3.connect(":memory:")
        # The type that came first to another ingest process is that of its shard.
        shard = TYPES[other[type_]] if spread and len(qasino.ingests) > 1 else word
        reference.execute(f"CREATE TABLE shard (cell {shard})")
        reference.executemany("INSERT INTO shard VALUES (?)", [(cell,) for cell in CELLS])
        reference.execute(f"CREATE TABLE t (cell {word})")
        reference.execute("INSERT INTO t SELECT cell FROM shard ORDER BY rowid")
        assert answer.rows == reference.execute("SELECT cell, typeof(cell) FROM t").fetchall()


@SPREAD
def test_merging_columns_are_in_the_order_first_seen(qasino, publish, spread):
    generation = publish([
        ("h1", tables.table("ordered", {"z": (INTEGER, [1]), "b": (INTEGER, [1])})),
        ("h2", tables.table("ordered", {"a": (INTEGER, [2]), "B": (INTEGER, [2]),
                                        "y": (INTEGER, [2])})),
        ("h3", tables.table("ordered", {"c": (INTEGER, [3]), "A": (INTEGER, [3]),
                                        "z": (INTEGER, [3])}))], spread)
    answer = qasino.client.answer_of(generation, "SELECT * FROM ordered ORDER BY coalesce(b, c)")
    assert answer.columns == ["z", "b", "a", "y", "c"]
    assert answer.rows == [(1, 1, None, None, None), (None, 2, 2, 2, None), (3, None, 3, None, 3)]
    assert qasino.client.answer_of(generation, "DESC ordered").column("column_name") == [
        "z", "b", "a", "y", "c"]
