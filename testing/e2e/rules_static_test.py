"""The rules of behaviour, Static tables. Each sentence, and the test that shows it:

"Published with `static`, a table replaces the rows of the static table of that name (columns are
only added),"
    test_static_a_publish_replaces_the_rows_of_the_static_table_of_that_name
    test_static_columns_are_only_added
"is on disk before the answer is sent,"
    test_static_a_table_is_on_disk_before_the_answer_is_sent
"is visible at once,"
    test_static_a_table_is_visible_at_once
"and stays until replaced or dropped, whatever restarts."
    test_static_a_table_stays_in_every_later_snapshot
    test_static_a_table_stays_whatever_restarts
    test_static_a_table_may_be_dropped
    test_static_a_dropped_table_does_not_come_back_with_a_restart
"A published table of the same name hides it."
    test_static_a_published_table_of_the_same_name_hides_it
    test_static_a_persistent_table_of_the_same_name_hides_it
And what proto/qasino/v1 says of them:
    test_static_a_publish_of_the_pair_is_no_duplicate
    test_static_is_refused_while_the_store_is_away
    test_static_a_change_makes_a_new_revision_of_the_newest_snapshot_alone
    test_static_tables_are_named_so_in_the_internal_tables
"""

import time

import pytest
from qasino.v1 import ingest_pb2, snapshot_pb2

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER, REAL, TEXT

FLAGS = {"store": {"--retain": 100}}


def owners(name, **values):
    return tables.table(name, {"machine": (TEXT, list(values)),
                               "owner": (TEXT, list(values.values()))})


def put(client, identity, table, ingest=0):
    response = client.publish(identity, table, ingest, static=True)
    assert not response.duplicate
    return response.generation


def seen(client, name, rows):
    """Waits until the newest snapshot has exactly these rows; its answer."""
    return client.query_until(f"SELECT machine, owner FROM {name} ORDER BY machine",
                              lambda answer: answer.rows == rows)


def table_names(client):
    return set(client.query("SELECT tablename FROM qasino_server_tables").column("tablename"))


def drop(client, name):
    return client.store.DropStaticTable(snapshot_pb2.DropStaticTableRequest(table_name=name),
                                        timeout=system.DEADLINE)


def test_static_a_publish_replaces_the_rows_of_the_static_table_of_that_name(qasino):
    client, last = qasino.client, len(qasino.ingests) - 1
    put(client, "h1", owners("owners", a="ann", b="bob"))
    seen(client, "owners", [("a", "ann"), ("b", "bob")])
    # Whoever published it.
    put(client, "h2", owners("Owners", c="cid"), last)
    seen(client, "owners", [("c", "cid")])
    put(client, "h1", owners("owners"))
    seen(client, "owners", [])
    put(client, "h1", owners("owners", d="dan"))
    seen(client, "owners", [("d", "dan")])


def test_static_columns_are_only_added(qasino):
    client = qasino.client
    put(client, "h1", tables.table("widening", {"a": (INTEGER, [1]), "b": (TEXT, ["x"])}))
    put(client, "h1", tables.table("widening", {"c": (REAL, [0.5]), "A": (TEXT, ["2"])}))
    answer = client.query_until("SELECT * FROM widening",
                                lambda answer: answer.columns == ["a", "b", "c"])
    # A column keeps the type that came first.
    assert answer.rows == [(2, None, 0.5)]
    put(client, "h1", tables.table("widening", {"b": (TEXT, ["y"])}))
    answer = client.query_until("SELECT * FROM widening",
                                lambda answer: answer.rows == [(None, "y", None)])
    assert answer.columns == ["a", "b", "c"]


def test_static_a_table_is_on_disk_before_the_answer_is_sent(restartable):
    client = restartable.client
    for number in range(3):
        put(client, "h1", owners("on_disk", a=str(number)))
        restartable.crash()  # At once.
        restartable.restart()
        seen(client, "on_disk", [("a", str(number))])


def test_static_a_table_is_visible_at_once(start):
    # No generation ends while this runs.
    qasino = start({"ingest": {"--generation-duration": "24h"}}, collecting=False)
    client = qasino.client
    assert put(client, "h1", owners("at_once", a="ann")) == 0
    answer = seen(client, "at_once", [("a", "ann")])
    assert answer.generation == 0
    put(client, "h1", owners("at_once", a="bob"))
    answer = seen(client, "at_once", [("a", "bob")])
    assert answer.generation == 0
    drop(client, "at_once")
    system.wait_for(lambda: "at_once" not in table_names(client), "a snapshot without the table")


def test_static_a_table_stays_in_every_later_snapshot(qasino):
    client = qasino.client
    generation = put(client, "h1", owners("staying", a="ann"))
    seen(client, "staying", [("a", "ann")])
    generation = max(generation + 1, client.wait_for_a_new_generation())
    for later in range(generation, generation + 3):
        assert client.answer_of(later, "SELECT machine, owner FROM staying").rows == [("a", "ann")]


def test_static_a_table_stays_whatever_restarts(restartable):
    client = restartable.client
    put(client, "h1", owners("lasting", a="ann"))
    put(client, "h2", tables.table("lasting_too", {"n": (INTEGER, [1, 2])}))
    put(client, "h2", tables.table("lasting_too", {"m": (INTEGER, [3])}))

    def check():
        seen(client, "lasting", [("a", "ann")])
        answer = client.query_until("SELECT * FROM lasting_too", lambda it: len(it.columns) == 2)
        assert (answer.columns, answer.rows) == (["n", "m"], [(None, 3)])

    check()
    for program in restartable.programs:
        for stop in (program.kill, program.terminate):
            stop()
            program.start().wait_ready()
            check()
    for stop in (restartable.crash, restartable.terminate):
        stop()
        restartable.restart()
        check()
    client.next_whole_generation()
    check()


def test_static_a_table_may_be_dropped(qasino):
    client = qasino.client
    put(client, "h1", owners("dropped", a="ann"))
    seen(client, "dropped", [("a", "ann")])
    response = drop(client, "DROPPED")
    # The answer names the first snapshot without it.
    system.wait_for(
        lambda: (answer := client.query("SELECT 1").snapshot)
        and (answer.generation, answer.revision) >= (response.generation, response.revision),
        "the snapshot that the answer names")
    assert "dropped" not in table_names(client)
    code, message = system.code_and_message(lambda: drop(client, "dropped"))
    assert code == "NOT_FOUND"
    assert "'dropped'" in message
    # It can be put again, and then has the columns of that alone.
    put(client, "h1", tables.table("dropped", {"n": (INTEGER, [1])}))
    answer = client.query_until("SELECT * FROM dropped")
    assert (answer.columns, answer.rows) == (["n"], [(1,)])


def test_static_a_dropped_table_does_not_come_back_with_a_restart(restartable):
    client = restartable.client
    put(client, "h1", owners("gone", a="ann"))
    put(client, "h1", owners("kept", a="ann"))
    drop(client, "gone")
    restartable.crash()
    restartable.restart()
    seen(client, "kept", [("a", "ann")])
    assert "gone" not in table_names(client)
    client.next_whole_generation()
    assert "gone" not in table_names(client)


def test_static_a_published_table_of_the_same_name_hides_it(qasino):
    client = qasino.client
    put(client, "h1", owners("hidden", a="ann"))
    seen(client, "hidden", [("a", "ann")])
    generation = client.publish("h2", tables.table("Hidden", {"n": (INTEGER, [1])})).generation
    answer = client.answer_of(generation, "SELECT * FROM hidden")
    assert (answer.columns, answer.rows) == (["n"], [(1,)])
    answer = client.answer_of(
        generation, "SELECT tablename, nr_rows, static FROM qasino_server_tables "
                    "WHERE tablename LIKE 'hidden'")
    assert answer.rows == [("Hidden", 1, 0)]
    # When it is no longer published, the static one is there again.
    answer = client.answer_of(generation + 1, "SELECT * FROM hidden")
    assert answer.rows == [("a", "ann")]


def test_static_a_persistent_table_of_the_same_name_hides_it(qasino):
    client = qasino.client
    put(client, "h1", owners("hidden_too", a="ann"))
    generation = client.publish("h2", owners("hidden_too", b="bob"), persist=True).generation
    for later in (generation, generation + 1):
        assert client.answer_of(later, "SELECT machine, owner FROM hidden_too").rows == [
            ("b", "bob")]
    client.store.DropPersistentTable(snapshot_pb2.DropPersistentTableRequest(
        identity="h2", table_name="hidden_too"), timeout=system.DEADLINE)
    seen(client, "hidden_too", [("a", "ann")])


def test_static_a_publish_of_the_pair_is_no_duplicate(qasino):
    client = qasino.client
    generation, responses = client.in_one_generation(
        lambda: client.publish("h1", owners("beside", a="ann"), static=True) and client.publish(
            "h1", owners("beside_plain", a="ann")),
        lambda: client.publish("h1", owners("beside", b="bob")))
    assert not responses[1].duplicate
    assert client.answer_of(generation, "SELECT machine FROM beside").rows == [("b",)]


def test_static_is_refused_while_the_store_is_away(processes):
    client = processes.client
    processes.store.kill()
    code, message = system.code_and_message(lambda: client.ingests[0].Publish(
        ingest_pb2.PublishRequest(identity="h1", table=owners("refused", a="ann"), static=True),
        timeout=system.DEADLINE))
    assert code == "UNAVAILABLE"
    assert "store" in message
    # Other publishes go on.
    assert client.publish("h1", owners("refused", b="bob")).generation
    processes.store.start()
    put(client, "h1", owners("later", a="ann"))
    seen(client, "later", [("a", "ann")])


def test_static_a_change_makes_a_new_revision_of_the_newest_snapshot_alone(start):
    # Generations are long enough for one to be the newest throughout.
    qasino = start({"ingest": {"--generation-duration": "5s"}, "store": {"--retain": 100}})
    client = qasino.client
    older = system.wait_for(client.generations, "a generation")[0]
    newest = system.wait_for(lambda: client.generations()[0] > older and client.generations()[0],
                             "the next generation")
    before = client.manifest(older).revision
    revisions = [client.whole_manifest(newest).revision]
    for number in range(3):
        assert put(client, "h1", owners("revised", a=str(number))) == newest
        revisions.append(client.manifest(newest).revision)
        assert client.answer_of(newest, "SELECT owner FROM revised").rows == [(str(number),)]
    assert revisions == sorted(set(revisions))
    assert client.manifest(older).revision == before
    code, message = system.code_and_message(
        lambda: client.query("SELECT * FROM revised", generation=older))
    assert (code, "no such table" in message) == ("INVALID_ARGUMENT", True)


def test_static_tables_are_named_so_in_the_internal_tables(qasino):
    client = qasino.client
    before = time.time()
    put(client, "h1", owners("listed", a="ann", b="bob"))
    put(client, "h2", owners("listed", a="ann"))
    answer = client.query_until(
        "SELECT tablename, nr_rows, nr_updates, static, last_update_epoch FROM "
        "qasino_server_tables WHERE tablename = 'listed'",
        lambda answer: answer.rows and answer.rows[0][1] == 1)
    ((name, rows, updates, static, epoch),) = answer.rows
    assert (name, rows, static) == ("listed", 1, 1)
    assert updates >= 1
    assert before - 1 <= epoch <= time.time() + 1


@pytest.mark.parametrize("option", ["persist", "update"])
def test_static_excludes_other_options(qasino, option):
    code, message = system.code_and_message(lambda: qasino.client.publish(
        "h1", owners("excluded", a="ann"), static=True, **{option: True}))
    assert code == "INVALID_ARGUMENT"
    assert "static" in message and option in message
    assert "excluded" not in table_names(qasino.client)
