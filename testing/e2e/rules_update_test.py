"""The rules of behaviour, Update. Each sentence, and the test that shows it:

"A publish with `update` replaces rows by key columns (`keycols`, separated by `;`; all columns when
none are named) instead of adding rows, as many times a generation as it likes."
    test_update_replaces_rows_by_key_columns_instead_of_adding_rows
    test_update_adds_the_rows_that_match_none
    test_update_takes_keycols_separated_by_semicolons
    test_update_uses_all_columns_as_keys_when_none_are_named
    test_update_counts_as_many_times_a_generation_as_it_likes
"Columns that the update does not name keep their value."
    test_update_columns_that_it_does_not_name_keep_their_value
And what proto/qasino/v1/ingest.proto says of it:
    test_update_finds_rows_whoever_published_them
    test_update_finds_null_by_null_and_values_as_the_column_stores_them
    test_update_changes_every_row_that_matches
    test_update_may_bring_a_column_that_the_table_lacks
    test_update_is_of_the_running_generation_alone
    test_update_makes_a_later_plain_publish_of_the_pair_a_duplicate
    test_update_is_counted_in_the_internal_tables
"""

import pytest
from qasino.v1 import ingest_pb2

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER, REAL, TEXT

FLAGS = {"store": {"--retain": 100}}


def rows_of(name, rows, columns=("host", "disk", "used")):
    """A table of TEXT and INTEGER columns with these rows."""
    types = {"host": TEXT, "disk": TEXT, "used": INTEGER, "free": INTEGER}
    return tables.table(name, {column: (types[column], [row[number] for row in rows])
                               for number, column in enumerate(columns)})


@pytest.fixture(name="publish")
def publish_fixture(qasino):
    """A function that makes publishes (identity, table[, keycols]) in one generation, in order,
    through one ingest process; with keycols, and be they empty, it is an update. Returns the
    generation and the responses."""

    def publish(*publishes):
        return qasino.client.in_one_generation(*[
            lambda each=each: qasino.client.publish(
                each[0], each[1], len(qasino.ingests) - 1,
                **({"update": True, "keycols": each[2]} if len(each) > 2 else {}))
            for each in publishes])

    return publish


def test_update_replaces_rows_by_key_columns_instead_of_adding_rows(qasino, publish):
    generation, responses = publish(
        ("h1", rows_of("replaced", [("a", "x", 1), ("a", "y", 2), ("b", "x", 3)])),
        ("h1", rows_of("replaced", [("a", "y", 20), ("b", "x", 30)]), ["host", "disk"]))
    assert not any(response.duplicate for response in responses)
    answer = qasino.client.answer_of(generation, "SELECT * FROM replaced ORDER BY host, disk")
    assert answer.rows == [("a", "x", 1), ("a", "y", 20), ("b", "x", 30)]


def test_update_adds_the_rows_that_match_none(qasino, publish):
    generation, _ = publish(
        ("h1", rows_of("added", [("a", "x", 1)]), ["host"]),
        ("h1", rows_of("added", [("b", "x", 2), ("a", "y", 3)]), ["host"]),
        # The second of these finds the first.
        ("h1", rows_of("added", [("c", "x", 4), ("c", "y", 5)]), ["host"]))
    answer = qasino.client.answer_of(generation, "SELECT * FROM added ORDER BY host")
    assert answer.rows == [("a", "y", 3), ("b", "x", 2), ("c", "y", 5)]


def test_update_takes_keycols_separated_by_semicolons(qasino):
    port = qasino.ingests[0].port("ingest")

    def publish(rows, *flags):
        ended = system.run_program(
            system.PUBLISH_CLIENT, "-p", port, "-d", "csv", "--identity", "h1", *flags,
            stdin="1\nsemicolons\nhost,disk,used\nstr,str,int\n\n" + rows)
        assert ended.code == 0, ended.err
        return int(ended.out.split("generation ")[1].split()[0])

    def attempt():
        qasino.client.wait_for_a_new_generation()
        generations = {publish("a,x,1\na,y,2\nb,x,3\n"),
                       publish("a,y,20\n", "--update", "--keycols", "host;disk"),
                       publish("b,z,30\n", "--update", "--keycols", "HOST")}
        return generations.pop() if len(generations) == 1 else None

    generation = system.wait_for(attempt, "three publishes in one generation")
    answer = qasino.client.answer_of(generation, "SELECT * FROM semicolons ORDER BY host, disk")
    assert answer.rows == [("a", "x", 1), ("a", "y", 20), ("b", "z", 30)]


def test_update_uses_all_columns_as_keys_when_none_are_named(qasino, publish):
    generation, _ = publish(
        ("h1", rows_of("all_keys", [("a", "x", 1), ("b", "x", 2)])),
        ("h1", rows_of("all_keys", [("a", "x", 1), ("b", "x", 3)]), []),
        ("h1", rows_of("all_keys", [("a", "x", 1), ("b", "x", 3)]), []))
    answer = qasino.client.answer_of(generation, "SELECT * FROM all_keys ORDER BY used")
    assert answer.rows == [("a", "x", 1), ("b", "x", 2), ("b", "x", 3)]


def test_update_counts_as_many_times_a_generation_as_it_likes(qasino, publish):
    generation, responses = publish(*[
        ("h1", rows_of("often", [("a", "x", number)]), ["host"]) for number in range(25)])
    assert not any(response.duplicate for response in responses)
    assert qasino.client.answer_of(generation, "SELECT * FROM often").rows == [("a", "x", 24)]


def test_update_of_a_stream_is_applied_in_order(qasino):
    requests = [ingest_pb2.PublishStreamRequest(publishes=[
        ingest_pb2.PublishRequest(identity=f"h{number % 3}", update=True, keycols=["host"],
                                  table=rows_of("in_order", [("a", "x", number)]))
        for number in range(start, start + 40)]) for start in range(0, 200, 40)]

    def attempt():
        qasino.client.wait_for_a_new_generation()
        results = [result for response in qasino.client.ingests[0].PublishStream(
            iter(requests), timeout=system.DEADLINE) for result in response.results]
        assert [result.code for result in results] == [0] * 200
        generations = {result.generation for result in results}
        return generations.pop() if len(generations) == 1 else None

    generation = system.wait_for(attempt, "a stream's publishes in one generation")
    assert qasino.client.answer_of(generation, "SELECT * FROM in_order").rows == [("a", "x", 199)]


def test_update_columns_that_it_does_not_name_keep_their_value(qasino, publish):
    generation, _ = publish(
        ("h1", rows_of("keeping", [("a", "x", 1), ("b", "y", 2)])),
        ("h1", rows_of("keeping", [("b", 20), ("c", 30)], ("host", "used")), ["host"]))
    answer = qasino.client.answer_of(generation, "SELECT * FROM keeping ORDER BY host")
    assert answer.rows == [("a", "x", 1), ("b", "y", 20), ("c", None, 30)]


def test_update_finds_rows_whoever_published_them(qasino, publish):
    generation, responses = publish(
        ("h1", rows_of("anyones", [("a", "x", 1), ("b", "x", 2)])),
        ("h2", rows_of("anyones", [("b", "y", 20), ("c", "y", 30)]), ["host"]),
        ("h3", rows_of("anyones", [("c", "z", 300)]), ["host"]))
    assert not any(response.duplicate for response in responses)
    answer = qasino.client.answer_of(generation, "SELECT * FROM anyones ORDER BY host")
    assert answer.rows == [("a", "x", 1), ("b", "y", 20), ("c", "z", 300)]


def test_update_finds_null_by_null_and_values_as_the_column_stores_them(qasino, publish):
    generation, _ = publish(
        ("h1", tables.table("typed_keys", {
            "i": (INTEGER, [5, None, 7]), "t": (TEXT, ["5", None, "seven"]),
            "r": (REAL, [5.0, None, 7.5]), "n": (INTEGER, [1, 2, 3])})),
        ("h1", tables.table("typed_keys", {
            "i": (TEXT, ["5", None]), "t": (INTEGER, [5, None]), "r": (INTEGER, [5, None]),
            "n": (INTEGER, [10, 20])}), ["i", "t", "r"]))
    answer = qasino.client.answer_of(generation, "SELECT i, t, r, n FROM typed_keys ORDER BY n")
    assert answer.rows == [(7, "seven", 7.5, 3), (5, "5", 5.0, 10), (None, None, None, 20)]


def test_update_changes_every_row_that_matches(qasino, publish):
    generation, _ = publish(
        ("h1", rows_of("several", [("a", "x", 1), ("a", "y", 2), ("b", "x", 3)])),
        ("h1", rows_of("several", [("a", 9)], ("host", "used")), ["host"]))
    answer = qasino.client.answer_of(generation, "SELECT * FROM several ORDER BY host, disk")
    assert answer.rows == [("a", "x", 9), ("a", "y", 9), ("b", "x", 3)]


def test_update_may_bring_a_column_that_the_table_lacks(qasino, publish):
    generation, _ = publish(
        ("h1", rows_of("wider", [("a", 1), ("b", 2)], ("host", "used"))),
        ("h1", rows_of("wider", [("b", 22)], ("host", "free")), ["host"]))
    answer = qasino.client.answer_of(generation, "SELECT * FROM wider ORDER BY host")
    assert (answer.columns, answer.rows) == (["host", "used", "free"],
                                             [("a", 1, None), ("b", 2, 22)])


def test_update_is_of_the_running_generation_alone(qasino):
    client = qasino.client
    first = client.publish("h1", rows_of("passing_by", [("a", "x", 1)])).generation
    client.whole_manifest(first)
    second = client.publish("h1", rows_of("passing_by", [("b", "y", 2)]), update=True,
                            keycols=["host"]).generation
    assert client.answer_of(first, "SELECT * FROM passing_by").rows == [("a", "x", 1)]
    assert client.answer_of(second, "SELECT * FROM passing_by").rows == [("b", "y", 2)]
    assert "passing_by" not in client.table_names_of(second + 1)


def test_update_makes_a_later_plain_publish_of_the_pair_a_duplicate(qasino, publish):
    generation, responses = publish(
        ("h1", rows_of("afterwards", [("a", "x", 1)]), ["host"]),
        ("h1", rows_of("afterwards", [("b", "x", 2)])),
        ("h1", rows_of("afterwards", [("a", "z", 3)]), ["host"]),
        ("h2", rows_of("afterwards", [("c", "x", 4)])))
    assert [response.duplicate for response in responses] == [False, True, False, False]
    answer = qasino.client.answer_of(generation, "SELECT * FROM afterwards ORDER BY host")
    assert answer.rows == [("a", "z", 3), ("c", "x", 4)]


def test_update_through_several_ingest_processes_loses_no_row(qasino):
    # Each looks among what it has collected itself, as the contract says; of both, all rows
    # count, also those of one identity.
    last = len(qasino.ingests) - 1
    generation, _ = qasino.client.in_one_generation(
        lambda: qasino.client.publish("h1", rows_of("two_ways", [("a", "x", 1)]), 0, update=True,
                                      keycols=["host"]),
        lambda: qasino.client.publish("h1", rows_of("two_ways", [("b", "x", 2)]), last,
                                      update=True, keycols=["host"]))
    answer = qasino.client.answer_of(generation, "SELECT * FROM two_ways ORDER BY host")
    assert answer.rows == [("a", "x", 1), ("b", "x", 2)]


def test_update_is_counted_in_the_internal_tables(qasino, publish):
    generation, _ = publish(
        ("h1", rows_of("counted", [("a", "x", 1)])),
        ("h2", rows_of("counted", [("a", "x", 2), ("b", "x", 3)]), ["host"]),
        ("h2", rows_of("counted", [("b", "x", 4)]), ["host"]))
    answer = qasino.client.answer_of(
        generation,
        "SELECT nr_rows, nr_updates FROM qasino_server_tables WHERE tablename = 'counted'")
    assert answer.rows == [(2, 3)]
    answer = qasino.client.answer_of(
        generation, "SELECT updates_received, updates_completed FROM qasino_server_update_stats")
    ((received, completed),) = answer.rows
    assert received >= 2 and completed >= 2
