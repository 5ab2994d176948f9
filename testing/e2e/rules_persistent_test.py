"""The rules of behaviour, Persistent tables. Each sentence, and the test that shows it:

"Published with `persist`, a table is carried into every later snapshot, per table and identity,
until the same identity publishes that table again (with `persist`: replaced; without: no longer
carried)."
    test_persistent_a_table_is_carried_into_every_later_snapshot
    test_persistent_tables_are_carried_per_table_and_identity
    test_persistent_published_again_with_persist_it_is_replaced
    test_persistent_published_again_without_persist_it_is_no_longer_carried
"Snapshot n holds them as they stood at the end of generation n."
    test_persistent_each_snapshot_holds_them_as_they_stood_at_its_end
"They survive the restart of every process."
    test_persistent_tables_survive_the_end_of_every_process_at_once
    test_persistent_tables_survive_the_restart_of_each_process
And what proto/qasino/v1 says of them:
    test_persistent_the_answer_comes_after_it_is_on_the_stores_disk
    test_persistent_a_second_publish_in_a_generation_is_a_duplicate
    test_persistent_with_update_changes_what_is_carried
    test_persistent_with_update_needs_no_table_to_begin_with
    test_persistent_update_after_a_plain_publish_is_refused
    test_persistent_update_without_persist_ends_the_carrying_after_this_generation
    test_persistent_a_table_may_be_dropped
    test_persistent_is_refused_while_the_store_is_away_and_counts_when_it_is_back
    test_persistent_tables_are_merged_with_published_ones
"""

import grpc
import pytest
from qasino.v1 import ingest_pb2, snapshot_pb2

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER, TEXT

FLAGS = {"store": {"--retain": 100}}


def numbered(name, *numbers):
    return tables.table(name, {"n": (INTEGER, list(numbers))})


def keyed(name, **values):
    return tables.table(name, {"k": (TEXT, list(values)), "n": (INTEGER, list(values.values()))})


def put(client, identity, table, ingest=0, **options):
    """The generation in which a table was published with `persist`; not as a duplicate."""
    response = client.publish(identity, table, ingest, persist=True, **options)
    assert not response.duplicate
    return response.generation


def numbers_of(client, generation, name):
    """The numbers in a generation's table, sorted; None when it has no such table."""
    if name not in client.table_names_of(generation):
        return None
    return sorted(client.answer_of(generation, f"SELECT n FROM {name}").column("n"))


def test_persistent_a_table_is_carried_into_every_later_snapshot(qasino):
    client = qasino.client
    generation = put(client, "h1", numbered("carried", 1, 2))
    for later in range(generation, generation + 4):
        assert numbers_of(client, later, "carried") == [1, 2]
    assert numbers_of(client, generation - 1, "carried") is None


def test_persistent_tables_are_carried_per_table_and_identity(qasino):
    client, last = qasino.client, len(qasino.ingests) - 1
    put(client, "h1", numbered("per_pair", 1))
    put(client, "h1", numbered("per_pair_other", 10))
    generation = put(client, "h2", numbered("per_pair", 2), last)
    assert numbers_of(client, generation, "per_pair") == [1, 2]
    # Of one pair nothing changes another.
    client.wait_for_a_new_generation()
    generation = put(client, "h2", numbered("per_pair", 3), last)
    assert numbers_of(client, generation, "per_pair") == [1, 3]
    assert numbers_of(client, generation, "per_pair_other") == [10]
    client.wait_for_a_new_generation()
    generation = client.publish("h1", numbered("per_pair", 4)).generation
    assert numbers_of(client, generation, "per_pair") == [3, 4]
    assert numbers_of(client, generation + 1, "per_pair") == [3]
    assert numbers_of(client, generation + 1, "per_pair_other") == [10]


def test_persistent_published_again_with_persist_it_is_replaced(qasino):
    client = qasino.client
    first = put(client, "h1", numbered("replaced", 1, 2))
    client.whole_manifest(first)
    second = put(client, "h1", tables.table("replaced", {"n": (INTEGER, [3]),
                                                         "more": (TEXT, ["x"])}))
    assert second > first
    assert numbers_of(client, first, "replaced") == [1, 2]
    for later in (second, second + 1):
        answer = client.answer_of(later, "SELECT n, more FROM replaced")
        assert answer.rows == [(3, "x")]


def test_persistent_published_again_without_persist_it_is_no_longer_carried(qasino):
    client = qasino.client
    first = put(client, "h1", numbered("ended", 1, 2))
    client.whole_manifest(first)
    second = client.publish("h1", numbered("ended", 3), len(qasino.ingests) - 1)
    assert not second.duplicate
    assert numbers_of(client, first, "ended") == [1, 2]
    assert numbers_of(client, second.generation, "ended") == [3]
    assert numbers_of(client, second.generation + 1, "ended") is None
    assert numbers_of(client, second.generation + 2, "ended") is None


def test_persistent_each_snapshot_holds_them_as_they_stood_at_its_end(qasino):
    client = qasino.client
    stood = {}
    number = 0
    while len(stood) < 4:
        response = client.publish("h1", numbered("stood", number), persist=True)
        if not response.duplicate:
            stood[response.generation] = number
        # Also in a generation's last moments: what is answered for the next is not in this one.
        number += 1
    first = min(stood)
    for generation in range(first, max(stood) + 1):
        newest = max(each for each in stood if each <= generation)
        assert numbers_of(client, generation, "stood") == [stood[newest]]


@pytest.mark.parametrize("how", ["crash", "terminate"])
def test_persistent_tables_survive_the_end_of_every_process_at_once(restartable, how):
    client = restartable.client
    put(client, "h1", numbered("surviving", 1, 2))
    put(client, "h2", keyed("surviving_too", a=1, b=2))
    put(client, "h3", keyed("surviving_too", b=20), update=True, keycols=["k"])
    getattr(restartable, how)()
    restartable.restart()
    for _ in range(2):
        generation = client.next_whole_generation()
        assert numbers_of(client, generation, "surviving") == [1, 2]
        assert client.answer_of(generation, "SELECT k, n FROM surviving_too ORDER BY k").rows == [
            ("a", 1), ("b", 20)]


def test_persistent_tables_survive_the_restart_of_each_process(restartable):
    client = restartable.client
    put(client, "h1", numbered("each", 1))
    put(client, "h2", numbered("each", 2), len(restartable.ingests) - 1)
    for program in restartable.programs:
        program.kill()
        program.start().wait_ready()
        generation = client.next_whole_generation()
        assert numbers_of(client, generation, "each") == [1, 2], program.name


def test_persistent_the_answer_comes_after_it_is_on_the_stores_disk(restartable):
    client = restartable.client
    for number in range(2):
        client.wait_for_a_new_generation()
        put(client, "h1", numbered("on_disk", number))
        restartable.crash()  # At once.
        restartable.restart()
        assert numbers_of(client, client.next_whole_generation(), "on_disk") == [number]


def test_persistent_a_second_publish_in_a_generation_is_a_duplicate(qasino):
    client = qasino.client
    generation, responses = client.in_one_generation(
        lambda: client.publish("h1", numbered("second", 1), persist=True),
        lambda: client.publish("h1", numbered("second", 2), persist=True),
        lambda: client.publish("h1", numbered("second", 3)),
        lambda: client.publish("h2", numbered("second", 4)),
        lambda: client.publish("h2", numbered("second", 5), persist=True))
    assert [response.duplicate for response in responses] == [False, True, True, False, True]
    assert numbers_of(client, generation, "second") == [1, 4]
    assert numbers_of(client, generation + 1, "second") == [1]


def test_persistent_with_update_changes_what_is_carried(qasino):
    client = qasino.client
    update = {"update": True, "keycols": ["k"]}
    first = put(client, "h1", keyed("changed", a=1, b=2))
    client.whole_manifest(first)
    second = put(client, "h1", keyed("changed", b=20, c=30), **update)
    # Any number a generation, and whoever published the rows.
    third = put(client, "h2", keyed("changed", a=100), len(qasino.ingests) - 1, **update)
    third = max(third, put(client, "h1", keyed("changed", c=300), **update))
    sql = "SELECT k, n FROM changed ORDER BY k"
    assert client.answer_of(first, sql).rows == [("a", 1), ("b", 2)]
    if third > second:
        assert ("b", 20) in client.answer_of(second, sql).rows
    for later in (third, third + 1):
        assert client.answer_of(later, sql).rows == [("a", 100), ("b", 20), ("c", 300)]


def test_persistent_with_update_needs_no_table_to_begin_with(qasino):
    client = qasino.client
    generation = put(client, "h1", keyed("from_nothing", a=1), update=True, keycols=["k"])
    assert client.answer_of(generation + 1, "SELECT k, n FROM from_nothing").rows == [("a", 1)]


def test_persistent_update_after_a_plain_publish_is_refused(qasino):
    client = qasino.client

    def attempt():
        client.wait_for_a_new_generation()
        plain = client.publish("h1", keyed("mixed_up", a=1)).generation
        try:
            response = client.publish("h1", keyed("mixed_up", a=2), persist=True, update=True,
                                      keycols=["k"])
            assert response.generation > plain
            return None  # A generation ended between them.
        except grpc.RpcError as error:
            return plain, error

    generation, error = system.wait_for(attempt, "both in one generation")
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "'mixed_up'" in error.details()
    assert "persist" in error.details()
    assert client.answer_of(generation, "SELECT k, n FROM mixed_up").rows == [("a", 1)]
    assert "mixed_up" not in client.table_names_of(generation + 1)


def test_persistent_update_without_persist_ends_the_carrying_after_this_generation(qasino):
    client = qasino.client
    generation, responses = client.in_one_generation(
        lambda: client.publish("h1", keyed("last_time", a=1, b=2), persist=True),
        lambda: client.publish("h1", keyed("last_time", b=20), update=True, keycols=["k"]))
    assert not any(response.duplicate for response in responses)
    answer = client.answer_of(generation, "SELECT k, n FROM last_time ORDER BY k")
    assert answer.rows == [("a", 1), ("b", 20)]
    assert "last_time" not in client.table_names_of(generation + 1)


def test_persistent_a_table_may_be_dropped(qasino):
    client = qasino.client

    def drop(identity, **options):
        return client.store.DropPersistentTable(snapshot_pb2.DropPersistentTableRequest(
            identity=identity, table_name="Dropped", **options), timeout=system.DEADLINE)

    generation = put(client, "h1", numbered("dropped", 1))
    generation = max(generation, put(client, "h2", numbered("dropped", 2)))
    assert numbers_of(client, generation, "dropped") == [1, 2]
    # From a generation on.
    end = client.wait_for_a_new_generation() + 2
    drop("h1", generation=end)
    assert numbers_of(client, end - 1, "dropped") == [1, 2]
    assert numbers_of(client, end, "dropped") == [2]
    # At once.
    drop("h2")
    client.query_until("SELECT tablename FROM qasino_server_tables",
                       lambda answer: ("dropped",) not in answer.rows)
    code, message = system.code_and_message(lambda: drop("h2"))
    assert code == "NOT_FOUND"
    assert "Dropped" in message and "h2" in message


def test_persistent_is_refused_while_the_store_is_away_and_counts_when_it_is_back(processes):
    client = processes.client
    processes.store.kill()
    refused = {}

    def attempt():
        try:
            client.ingests[0].Publish(
                ingest_pb2.PublishRequest(identity="h1", table=numbered("refused", 1),
                                                 persist=True), timeout=system.DEADLINE)
        except grpc.RpcError as error:
            refused[error.code()] = error.details()
            return True
        return False

    assert attempt()
    assert set(refused) == {grpc.StatusCode.UNAVAILABLE}
    assert "store" in refused[grpc.StatusCode.UNAVAILABLE]
    # The store may have it all the same, so in that generation a plain publish of the pair is
    # refused too; in the next it counts.
    plain = client.publish("h1", numbered("refused", 2))
    assert not plain.duplicate
    assert not client.publish("h2", numbered("plain_meanwhile", 3)).duplicate
    processes.store.start()
    persistent = system.wait_for(
        lambda: (response := client.publish("h1", numbered("refused", 4), persist=True)).generation
        > plain.generation and response, "the pair counts again")
    assert not persistent.duplicate
    generation = max(persistent.generation, client.next_whole_generation())
    assert numbers_of(client, generation, "refused") == [4]


def test_persistent_tables_are_merged_with_published_ones(qasino):
    client = qasino.client
    put(client, "h1", tables.table("beside", {"n": (INTEGER, [1]), "old": (TEXT, ["x"])}))
    client.wait_for_a_new_generation()
    generation = client.publish("h2", tables.table("Beside", {"N": (INTEGER, [2]),
                                                              "new": (TEXT, ["y"])})).generation
    answer = client.answer_of(generation, "SELECT * FROM beside ORDER BY n")
    assert answer.columns == ["n", "old", "new"]
    assert answer.rows == [(1, "x", None), (2, None, "y")]
    counts = client.answer_of(generation, "SELECT nr_rows, nr_updates, static FROM "
                                          "qasino_server_tables WHERE tablename = 'beside'")
    assert counts.rows == [(2, 2, 0)]
    assert client.answer_of(generation + 1, "SELECT n FROM beside").rows == [(1,)]
