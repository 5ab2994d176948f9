"""Each process is stopped, killed, restarted or away without the others being restarted."""

import os

import grpc
from qasino.v1 import snapshot_pb2

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER


def numbered(name, number):
    return tables.table(name, {"n": (INTEGER, [number])})


def newest_manifest(client):
    return system.when_available(client.store.GetManifest, snapshot_pb2.GetManifestRequest())


def shards_of(client, generation):
    """The shards that the store has of a generation; none when it does not hold it yet."""
    try:
        return system.when_available(
            client.store.GetManifest,
            snapshot_pb2.GetManifestRequest(generation=generation)).shards
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND
        return []


def test_a_restarted_store_has_what_it_had(processes):
    client = processes.client
    client.publish_and_query("h1", numbered("kept", 1), "SELECT n FROM kept")
    before = newest_manifest(client)
    assert processes.store.terminate() == 0
    processes.store.start().wait_ready()
    after = newest_manifest(client)
    assert after.store_id == before.store_id
    assert after.generation >= before.generation


def test_a_restarted_query_process_serves_again(processes):
    client = processes.client
    with client.keeps_publishing([(0, "h1", numbered("kept", 1))]):
        client.query_until("SELECT n FROM kept")
        before = client.generation()
        for stop in (processes.query.kill, processes.query.terminate):
            stop()
            processes.query.start().wait_ready()
            answer = client.query_until("SELECT n FROM kept")
            assert answer.rows == [(1,)]
            assert answer.generation >= before


def test_a_killed_ingest_process_comes_back_and_numbers_never_repeat(processes):
    client = processes.client
    before = client.publish("h1", numbered("again", 1)).generation
    client.wait_for_generation(before)
    processes.ingests[0].kill()
    processes.ingests[0].start().wait_ready()
    response, answer = client.publish_and_query("h1", numbered("again", 2), "SELECT n FROM again")
    assert response.generation >= before
    assert answer.rows == [(2,)]
    # The other one was never disturbed.
    _, answer = client.publish_and_query("h2", numbered("other", 3), "SELECT n FROM other",
                                         ingest=1)
    assert answer.rows == [(3,)]


def test_sigterm_on_an_ingest_process_loses_nothing_acknowledged(processes):
    client = processes.client
    tables_by_generation = {}
    for number in range(20):
        response = client.publish(f"h{number}", numbered("last_words", number), ingest=0)
        tables_by_generation.setdefault(response.generation, set()).add(number)
    assert processes.ingests[0].terminate() == 0
    for generation, numbers in tables_by_generation.items():
        rows = sum(table.rows for shard in shards_of(client, generation)
                   for table in shard.tables if table.name == "last_words")
        assert rows == len(numbers)


def test_one_ingest_process_that_dies_does_not_keep_the_others_from_being_seen(processes):
    client = processes.client
    with client.keeps_publishing([(1, "h2", numbered("survivor", 2))]):
        client.query_until("SELECT n FROM survivor")
        processes.ingests[0].kill()
        before = client.generation()
        answer = client.query_until("SELECT n FROM survivor",
                                    lambda later: later.generation > before)
        assert answer.rows == [(2,)]


def test_a_snapshot_without_an_expected_ingest_process_says_that_it_is_not_complete(processes):
    client = processes.client
    with client.keeps_publishing([(1, "h2", numbered("there", 2))]):
        client.query_until("SELECT n FROM there")
        processes.ingests[0].kill()

        # In the store, which keeps it: the query process may replace it by the next at once.
        def incomplete():
            return [each.generation for each in system.when_available(
                client.store.ListGenerations, snapshot_pb2.ListGenerationsRequest()).generations
                if not each.complete]

        generation = system.wait_for(incomplete, "a generation that is not complete")[0]
    manifest = client.store.GetManifest(
        snapshot_pb2.GetManifestRequest(generation=generation), timeout=system.DEADLINE)
    assert list(manifest.missing) == ["ingest-a"]


def test_standalone_restarted_on_its_data_directory_serves_what_it_had(tmp_path):
    with system.kept(system.start_standalone(str(tmp_path), relayed=True)) as qasino:
        response, _ = qasino.client.publish_and_query("h1", numbered("kept", 1),
                                                      "SELECT n FROM kept")
        (program,) = qasino.programs
        assert program.terminate() == 0
        program.start().wait_ready()
        answer = qasino.client.query("SELECT 1")
        assert answer.generation >= response.generation


def test_standalone_ends_well_while_publishes_and_queries_run(tmp_path):
    with system.kept(system.start_standalone(str(tmp_path), relayed=True)) as qasino:
        with qasino.client.keeps_publishing([(0, "h1", numbered("busy", 1))]):
            qasino.client.query_until("SELECT n FROM busy")
            assert qasino.programs[0].terminate() == 0


def test_a_data_directory_is_not_taken_by_two_stores(bare_system, tmp_path):
    system.start_store(bare_system).wait_ready()
    ended = system.run_program(system.STORE, "--store-port", 0, "--metrics-port", "off",
                               "--data-dir", os.path.join(str(tmp_path), "data"))
    assert ended.code not in (0, None)
    assert "data" in ended.err
