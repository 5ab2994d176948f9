"""The rules of behaviour, Internal tables; and SHOW and DESC, which read them. The sentence, and the
tests that show its parts:

"In every snapshot and about the whole snapshot, whatever the number of shards:"
    test_internal_tables_are_in_every_snapshot
    test_internal_tables_server_tables_counts_rows_and_publishes_over_all_shards
    test_internal_tables_server_connections_has_a_row_for_each_identity
    test_internal_tables_server_info_is_about_the_snapshot_that_answers
    test_internal_tables_server_update_stats_adds_up_over_all_ingest_processes
"`qasino_server_info`, `_tables`, `_connections`, `_views`, `_sql_stats`, `_update_stats`, with the
columns of the legacy system; further tables may be added."
    test_internal_tables_have_the_columns_that_they_always_had
    test_internal_tables_are_listed_in_server_tables_with_itself
And what SHOW and DESC make of them: test_internal_tables_show_..., test_internal_tables_desc_...
"""

import re

import pytest

from testing.e2e import tables
from testing.e2e.tables import INTEGER, TEXT

# As in the original system.
COLUMNS = {
    "qasino_server_info": ["generation_number", "generation_duration_s", "generation_start_epoch"],
    "qasino_server_tables": ["tablename", "nr_rows", "nr_updates", "last_update_epoch", "static"],
    "qasino_server_connections": ["identity", "nr_tables", "last_update_epoch"],
    "qasino_server_views": ["viewname", "loaded", "errormsg", "view"],
    "qasino_server_sql_stats": ["sql_received", "sql_completed", "sql_errors"],
    "qasino_server_update_stats": ["updates_received", "updates_completed", "update_errors",
                                   "inserts_received", "inserts_completed"],
}


@pytest.fixture(name="published", scope="module")
def published_fixture(qasino):
    """Three publishers of two tables, spread over the ingest processes."""
    last = len(qasino.ingests) - 1
    people = tables.table("People", {"Name": (TEXT, ["x", "y"]), "age": (INTEGER, [1, None])})
    places = tables.table("places", {"city": (TEXT, ["z"])})
    with qasino.client.keeps_publishing(
            [(0, "h1", people), (last, "h2", people), (last, "h3", places), (0, "h1", places)]):
        qasino.client.query_until(
            "SELECT count(*) FROM people, places", lambda answer: answer.rows == [(8,)])
        yield qasino


FLAGS = {"store": {"--retain": 100}}


def whole(answer):
    """Only a snapshot that has all that is published; the fixture's condition has been met
    once, but a loaded machine may miss a publish in some generation."""
    return answer.snapshot.publishers >= 3 and answer.snapshot.complete


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_internal_tables_have_the_columns_that_they_always_had(published, name):
    answer = published.client.query_until(f"SELECT * FROM {name}", lambda answer: True)
    assert answer.columns[:len(COLUMNS[name])] == COLUMNS[name]


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_internal_tables_are_in_every_snapshot(published, name):
    # Those that are held, one after the other, and the empty one before the first.
    held = published.client.generations()
    for generation in held[:3]:
        answer = published.client.query(f"SELECT * FROM {name}", generation=generation)
        assert answer.generation == generation
        assert answer.columns[:len(COLUMNS[name])] == COLUMNS[name]


def test_internal_tables_are_in_the_empty_snapshot(start):
    # No generation ends while this runs.
    client = start({"ingest": {"--generation-duration": "24h"}}, collecting=False).client
    for name, columns in COLUMNS.items():
        answer = client.query(f"SELECT * FROM {name}")
        assert answer.generation == 0
        assert answer.columns[:len(columns)] == columns
    assert client.query("SHOW INFO").column("generation_number") == [0]
    assert set(COLUMNS) <= set(client.query("SHOW TABLES").column("tablename"))


def test_internal_tables_server_update_stats_adds_up_over_all_ingest_processes(published):
    client = published.client

    def received():
        answer = client.query("SELECT inserts_received, inserts_completed, updates_received, "
                              "updates_completed, update_errors FROM qasino_server_update_stats")
        (row,) = answer.rows
        return row

    before = received()
    last = len(published.ingests) - 1
    generation = max(client.publish("stats", tables.table("stats", {"n": (INTEGER, [1])}), ingest,
                                    **options).generation
                     for ingest in range(last + 1) for options in ({}, {"update": True}))
    client.whole_manifest(generation)
    client.wait_for_generation(generation)
    after = received()
    assert after[0] >= before[0] + last + 1 and after[1] >= before[1] + last + 1
    assert after[2] >= before[2] + last + 1 and after[3] >= before[3] + last + 1


def test_internal_tables_server_info_is_about_the_snapshot_that_answers(published):
    answer = published.client.query("SELECT * FROM qasino_server_info")
    (row,) = answer.dicts()
    assert row["generation_number"] == answer.generation
    assert row["generation_duration_s"] == 1


def test_internal_tables_server_tables_counts_rows_and_publishes_over_all_shards(published):
    answer = published.client.query_until(
        "SELECT * FROM qasino_server_tables WHERE tablename IN ('People', 'places')", whole)
    counts = {row["tablename"]: (row["nr_rows"], row["nr_updates"], row["static"])
              for row in answer.dicts()}
    assert counts == {"People": (4, 2, 0), "places": (2, 2, 0)}


def test_internal_tables_are_listed_in_server_tables_with_itself(published):
    answer = published.client.query("SELECT tablename FROM qasino_server_tables")
    assert set(COLUMNS) <= set(answer.column("tablename"))


def test_internal_tables_server_connections_has_a_row_for_each_identity(published):
    answer = published.client.query_until(
        "SELECT identity, nr_tables FROM qasino_server_connections WHERE identity LIKE 'h_' "
        "ORDER BY 1", whole)
    assert answer.rows == [("h1", 2), ("h2", 1), ("h3", 1)]


def test_internal_tables_show_tables(published):
    answer = published.client.query_until("SHOW TABLES", whole)
    assert answer.columns[:5] == COLUMNS["qasino_server_tables"]
    assert answer.columns[-1] == "last_update_datetime"
    names = answer.column("tablename")
    assert names == sorted(names)
    assert {"People", "places", "qasino_server_info"} <= set(names)
    row = answer.dicts()[names.index("People")]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC", row["last_update_datetime"])


def test_internal_tables_show_tables_like(published):
    answer = published.client.query_until("  show   TABLES like 'pl%' ;\n", whole)
    assert answer.column("tablename") == ["places"]


def test_internal_tables_show_connections(published):
    answer = published.client.query_until("SHOW CONNECTIONS", whole)
    assert answer.columns == COLUMNS["qasino_server_connections"] + ["last_update_datetime"]
    assert {"h1", "h2", "h3"} <= set(answer.column("identity"))


def test_internal_tables_show_info(published):
    answer = published.client.query("SHOW INFO")
    assert answer.columns == COLUMNS["qasino_server_info"] + ["generation_start_datetime"]
    assert len(answer.rows) == 1


def test_internal_tables_show_views(published):
    assert published.client.query("SHOW VIEWS").columns == ["viewname", "loaded", "errormsg"]


def test_internal_tables_desc_names_columns_and_types(published):
    answer = published.client.query_until("DESC people", lambda answer: True)
    assert answer.columns == ["column_name", "column_type"]
    assert [(name, type_.upper()) for name, type_ in answer.rows] == [
        ("Name", "TEXT"), ("age", "INTEGER")]
