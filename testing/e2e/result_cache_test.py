"""The result cache of query, on real processes: whoever asks the same on the same snapshot gets
the answer that was made already, and nobody sees a difference but in the time."""

import re
import threading

from qasino.v1 import query_pb2

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER, TEXT

# Generations that last, so that a test's questions are asked of one snapshot.
FLAGS = {"ingest": {"--generation-duration": "24h"}}

# A million takes some 0.3 s.
COUNT = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) "
         "SELECT count(*) FROM n")


def started_once(start, **query_flags):
    flags = dict(FLAGS, query={f"--{name.replace('_', '-')}": value
                               for name, value in query_flags.items()})
    return start(flags, collecting=False)


def metric(qasino, name):
    """The value; `name` with its labels."""
    found = re.search("^" + re.escape(name) + r" (\S+)$", qasino.query.http("/metrics")[1],
                      re.MULTILINE)
    return float(found.group(1))


def answered_from(qasino, source):
    return metric(qasino, f'qasino_query_answers_total{{from="{source}"}}')


def wait_until_idle(qasino):
    system.wait_for(lambda: metric(qasino, "qasino_query_active") == 0, "the end of all queries")


def ask(qasino, sql, timeout=system.DEADLINE, **options):
    """The messages; the summary's time is left out."""
    request = query_pb2.QueryRequest(sql=sql, **options)
    messages = list(qasino.client.query_stub.Query(request, timeout=timeout, wait_for_ready=True))
    assert messages[-1].HasField("summary")
    assert messages[-1].summary.HasField("elapsed")
    messages[-1].summary.ClearField("elapsed")
    return messages


def publish_static(qasino, rows):
    qasino.client.publish("h1", tables.table("t", {
        "n": (INTEGER, list(range(rows))), "s": (TEXT, [f"row {i}" for i in range(rows)])}),
        static=True)
    return qasino.client.query_until(
        "SELECT count(*) FROM t", lambda answer: answer.rows == [(rows,)])


def test_the_same_answer_comes_from_the_cache(start):
    qasino = started_once(start)
    publish_static(qasino, 20_000)
    for sql in ("SELECT * FROM t", "SELECT count(*), sum(n) FROM t", "SELECT n FROM t WHERE 0",
                "SHOW TABLES", "DESC t", "EXPLAIN QUERY PLAN SELECT * FROM t"):
        wait_until_idle(qasino)
        before = answered_from(qasino, "cache")
        run = ask(qasino, sql)
        assert ask(qasino, sql) == run
        assert ask(qasino, sql) == run
        wait_until_idle(qasino)
        assert answered_from(qasino, "cache") == before + 2, sql
    stats = "SELECT sql_from_cache, sql_completed FROM qasino_server_sql_stats"
    publish_static(qasino, 10)
    qasino.client.query_until(stats, lambda answer: 12 <= answer.rows[0][0] < answer.rows[0][1])


def test_a_new_snapshot_has_a_new_answer(start):
    qasino = started_once(start)
    for rows in (5, 6, 7):
        first = publish_static(qasino, rows)
        again = qasino.client.query("SELECT count(*) FROM t")
        assert again.rows == [(rows,)]
        assert again.snapshot == first.snapshot


def test_what_changes_is_never_kept(start):
    qasino = started_once(start)
    qasino.client.query("SELECT 1")
    drawn = {qasino.client.query("SELECT random()").rows[0][0] for _ in range(20)}
    assert len(drawn) == 20
    times = set()
    system.wait_for(
        lambda: times.add(qasino.client.query("SELECT strftime('%f', 'now')").rows[0][0])
        or len(times) > 3, "a clock that goes on")
    wait_until_idle(qasino)
    assert answered_from(qasino, "kept") == 1
    assert answered_from(qasino, "cache") + answered_from(qasino, "shared") == 0


def test_64_who_ask_a_slow_statement_at_once_run_it_once(start):
    qasino = started_once(start)
    qasino.client.query("SELECT 1")
    answers = []
    threads = [threading.Thread(
        target=lambda: answers.append(qasino.client.query(COUNT.format(1_000_000)).rows))
        for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[(1_000_000,)]] * 64
    wait_until_idle(qasino)
    assert answered_from(qasino, "kept") == 2
    assert answered_from(qasino, "shared") + answered_from(qasino, "cache") == 63
    assert answered_from(qasino, "run") == 0


def test_when_the_first_is_cancelled_the_others_are_answered(start):
    qasino = started_once(start, query_timeout="60s")
    qasino.client.query("SELECT 1")
    wait_until_idle(qasino)
    request = query_pb2.QueryRequest(sql=COUNT.format(3_000_000))
    first = qasino.client.query_stub.Query(request, timeout=system.DEADLINE)
    system.wait_for(lambda: metric(qasino, "qasino_query_active") == 1, "the first")
    others = [qasino.client.query_stub.Query(request, timeout=system.DEADLINE) for _ in range(10)]
    system.wait_for(lambda: metric(qasino, "qasino_query_active") >= 11
                    or answered_from(qasino, "kept") > 1, "the others")
    first.cancel()
    for call in others:
        assert tables.read_answer(call).rows == [(3_000_000,)]


def test_limits_hold_for_answers_that_are_kept(start):
    qasino = started_once(start, max_rows=10, query_timeout="2s")
    for _ in range(3):
        assert len(qasino.client.query("SELECT value FROM json_each('[1,2,3]')").rows) == 3
        cut = ask(qasino, "SELECT value FROM json_each('[1,2,3]')", row_limit=2)
        assert (cut[-1].summary.rows, cut[-1].summary.truncated) == (2, True)
        code, _ = system.code_and_message(lambda: qasino.client.query(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 11) "
            "SELECT i FROM n"))
        assert code == "RESOURCE_EXHAUSTED"
    # All of them wait for one, and each has its own end.
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    calls = [qasino.client.query_stub.Query(query_pb2.QueryRequest(sql=endless)) for _ in range(8)]
    for call in calls:
        code, message = system.code_and_message(lambda call=call: list(call))
        assert code == "DEADLINE_EXCEEDED"
        assert message == "the query ran longer than 2s (--query-timeout)"


def test_without_a_cache_each_is_run(start):
    qasino = started_once(start, result_cache_size="0")
    for _ in range(3):
        assert qasino.client.query("SELECT 7").rows == [(7,)]
    wait_until_idle(qasino)
    assert answered_from(qasino, "run") == 3
