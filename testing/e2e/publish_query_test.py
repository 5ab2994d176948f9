"""The main road, in both modes, through stubs generated from proto/ alone."""

import threading

import grpc
import pytest
from qasino.v1 import ingest_pb2, query_pb2

from testing.e2e import system, tables
from testing.e2e.tables import BLOB, INTEGER, REAL, TEXT


def cpu_table(name="cpu", values=(1, 2, 3)):
    return tables.table(name, {"core": (INTEGER, list(range(len(values)))),
                               "load": (INTEGER, list(values))})


def test_the_snapshot_of_the_acknowledged_generation_has_the_rows(qasino):
    response, answer = qasino.client.publish_and_query(
        "host1", cpu_table("acknowledged"), "SELECT core, load FROM acknowledged ORDER BY core")
    assert not response.duplicate
    assert answer.columns == ["core", "load"]
    assert answer.types == [INTEGER, INTEGER]
    assert answer.rows == [(0, 1), (1, 2), (2, 3)]


def wait_for_table(client, generation, sql):
    """The answer of that generation's snapshot; None if it came and went unseen."""
    client.wait_for_generation(generation)
    answer = client.try_query(sql)
    return answer if answer and answer.generation == generation else None


def test_an_empty_table_exists(qasino):
    _, answer = qasino.client.publish_and_query(
        "h1", tables.table("empty", {"a": (INTEGER, []), "b": (TEXT, [])}), "SELECT * FROM empty")
    assert answer.columns == ["a", "b"]
    assert answer.rows == []


def test_a_stream_of_publishes_is_answered_in_order_and_survives_a_refusal(qasino):
    def request(number, **change):
        publish = ingest_pb2.PublishRequest(
            identity=f"stream-{number}",
            table=change.get("table", cpu_table("streamed", [number])))
        return publish

    bad = request(2, table=tables.table("not a name", {"a": (INTEGER, [1])}))
    requests = [
        ingest_pb2.PublishStreamRequest(publishes=[request(0), request(1), bad]),
        ingest_pb2.PublishStreamRequest(publishes=[request(number) for number in range(3, 50)]),
    ]
    results = []
    for response in qasino.client.ingests[0].PublishStream(iter(requests),
                                                           timeout=system.DEADLINE):
        results.extend(response.results)
    assert len(results) == 50
    assert [result.code for result in results] == [0, 0, 3] + [0] * 47
    assert "'not a name'" in results[2].message
    assert results[2].generation == 0
    assert all(result.generation > 0 for result in results if result.code == 0)


def test_many_publishers_at_once_are_all_counted(qasino):
    publishers = 40
    name = "crowd"

    def attempt():
        generations = [None] * publishers

        def publish(number):
            ingest = number % len(qasino.ingests)
            generations[number] = qasino.client.publish(
                f"crowd-{number}", cpu_table(name, [number]), ingest).generation

        threads = [threading.Thread(target=publish, args=(each,)) for each in range(publishers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(system.DEADLINE)
        if len(set(generations)) != 1:
            return None
        answer = wait_for_table(qasino.client, generations[0], f"SELECT load FROM {name}")
        return answer if answer and answer.snapshot.complete else None

    answer = system.wait_for(attempt, "forty publishes in one generation, and its snapshot")
    assert sorted(answer.column("load")) == list(range(publishers))
    assert answer.snapshot.publishers >= publishers


def test_every_answer_names_its_snapshot(qasino):
    response, answer = qasino.client.publish_and_query("h1", cpu_table("named"),
                                                       "SELECT * FROM named")
    snapshot = answer.snapshot
    assert snapshot.store_id
    assert snapshot.generation == response.generation
    assert snapshot.revision >= 1
    assert snapshot.duration.seconds == 1
    assert snapshot.publishers >= 1
    assert snapshot.identity
    assert snapshot.committed_at.seconds >= snapshot.generation
    assert not answer.summary.truncated
    assert answer.summary.HasField("elapsed")


def test_a_row_limit_cuts_the_answer_and_says_so(qasino):
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT i FROM n"
    answer = qasino.client.query(sql, row_limit=4)
    assert answer.rows == [(1,), (2,), (3,), (4,)]
    assert answer.summary.truncated
    answer = qasino.client.query(sql, row_limit=10)
    assert len(answer.rows) == 10
    assert not answer.summary.truncated


def test_an_answer_of_many_rows_arrives_whole(qasino):
    rows = 20000
    _, answer = qasino.client.publish_and_query(
        "h1", tables.table("many", {"n": (INTEGER, list(range(rows))),
                                    "t": (TEXT, [f"row {n}" for n in range(rows)])}),
        "SELECT n, t FROM many ORDER BY n")
    assert answer.rows == [(n, f"row {n}") for n in range(rows)]


def test_cancelling_a_query_frees_the_server_for_the_next(qasino):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    calls = [qasino.client.query_stub.Query(query_pb2.QueryRequest(sql=endless),
                                            timeout=system.DEADLINE) for _ in range(4)]
    for call in calls:
        call.cancel()
    for call in calls:
        with pytest.raises(grpc.RpcError):
            list(call)
    assert qasino.client.query("SELECT 1").rows == [(1,)]
