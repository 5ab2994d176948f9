"""The rules of behaviour, SQL. Each sentence, and the test that shows it:

"Any single read-only statement of SQLite: SELECT, WITH, VALUES, EXPLAIN."
    test_sql_any_single_read_only_statement_is_answered
    test_sql_one_statement_at_a_time
    test_sql_names_and_order_of_the_columns_are_the_statements
    test_sql_parameters_are_bound_by_position_and_by_name
"Everything else is refused by SQLite's authorizer, not by looking at the text: no writes, no ATTACH,
no PRAGMA that changes anything, no extension loading, no file access."
    test_sql_everything_else_is_refused
    test_sql_the_text_of_a_statement_does_not_matter
    test_sql_nothing_that_was_refused_has_left_a_trace
    (80 more statements that mean harm: hostile_sql_test.py.)
"`SHOW TABLES [LIKE 'x']`, `SHOW CONNECTIONS`, `SHOW INFO`, `SHOW VIEWS`, `DESC table`, `DESC VIEW
view` work through every door."
    test_sql_show_and_desc_work_through_every_door
    (The doors are gRPC and qasinosql; what each shows: rules_internal_tables_test.py, and for views
    rules_views_test.py.)
"A query sees one snapshot from beginning to end,"
    test_sql_a_query_sees_one_snapshot_from_beginning_to_end
    test_sql_a_retained_generation_may_be_asked
    test_sql_the_running_generation_may_be_asked
"and has limits on time, memory and rows that end in a clear error, never in a dead server."
    test_sql_a_limit_ends_in_a_clear_error_and_the_next_query_is_answered
    (Fifty hostile queries at once: hostile_sql_test.py.)
"""

import csv
import io
import os
import re

import grpc
import pytest
from qasino.v1 import query_pb2

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER, REAL, TEXT

FLAGS = {"store": {"--retain": 100}}


def numbered(name, *numbers):
    return tables.table(name, {"n": (INTEGER, list(numbers))})


@pytest.fixture(name="published", scope="module")
def published_fixture(qasino):
    """A generation that has the table `cpu`, which is asked by its number."""
    generation = qasino.client.publish("h1", tables.table("cpu", {
        "core": (INTEGER, [0, 1, 2]), "load": (REAL, [0.5, 1.5, None])})).generation
    qasino.client.answer_of(generation, "SELECT 1")
    return lambda sql, **options: qasino.client.query(sql, generation=generation, **options)


STATEMENTS = {
    "SELECT core FROM cpu ORDER BY core DESC": [(2,), (1,), (0,)],
    "  select/**/sum(load) from CPU -- all\n;": [(2.0,)],
    "WITH busy AS (SELECT * FROM cpu WHERE load > 1) SELECT core FROM busy": [(1,)],
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3) "
    "SELECT i FROM n": [(1,), (2,), (3,)],
    "VALUES (1, 'a'), (2, NULL)": [(1, "a"), (2, None)],
    "SELECT a.core, b.core FROM cpu a JOIN cpu b ON a.core = b.core + 1 ORDER BY 1":
        [(1, 0), (2, 1)],
    "SELECT core FROM cpu UNION SELECT 9 EXCEPT SELECT 1 ORDER BY 1": [(0,), (2,), (9,)],
    "SELECT core, row_number() OVER (ORDER BY core DESC) FROM cpu ORDER BY core":
        [(0, 3), (1, 2), (2, 1)],
    "SELECT count(*) FILTER (WHERE load IS NULL) FROM cpu": [(1,)],
    "SELECT (SELECT max(load) FROM cpu WHERE core <> c.core) FROM cpu c ORDER BY core":
        [(1.5,), (0.5,), (1.5,)],
    "SELECT json_extract('{\"a\": [1, 2]}', '$.a[1]')": [(2,)],
    "SELECT value FROM json_each('[3, 4]')": [(3,), (4,)],
    "SELECT date('2026-11-22', '+1 day')": [("2026-11-23",)],
    "SELECT group_concat(core, '-') FROM (SELECT core FROM cpu ORDER BY core)": [("0-1-2",)],
    "SELECT 'x' LIKE 'X', 'abc' GLOB 'a*', 'a' IN (SELECT 'a'), CAST('5' AS INTEGER)":
        [(1, 1, 1, 5)],
    "SELECT printf('%05.1f', 2.5), hex(x'00ff'), typeof(NULL), abs(-3)":
        [("002.5", "00FF", "null", 3)],
    "SELECT 'DROP TABLE cpu; ATTACH', \"core\" FROM cpu LIMIT 1": [("DROP TABLE cpu; ATTACH", 0)],
    "SELECT core FROM cpu WHERE core = 1 COLLATE NOCASE": [(1,)],
}


@pytest.mark.parametrize("sql", STATEMENTS)
def test_sql_any_single_read_only_statement_is_answered(published, sql):
    assert published(sql).rows == STATEMENTS[sql]


def test_sql_explain_is_answered(published):
    assert len(published("EXPLAIN SELECT * FROM cpu").columns) == 8
    assert published("EXPLAIN QUERY PLAN SELECT * FROM cpu").columns[-1] == "detail"


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1;;SELECT 2", "VALUES (1); --\n;1",
                                 "SELECT 1; SELECT core FROM cpu;"])
def test_sql_one_statement_at_a_time(published, sql):
    code, message = system.code_and_message(lambda: published(sql))
    assert code == "INVALID_ARGUMENT"
    assert "one statement" in message


def test_sql_names_and_order_of_the_columns_are_the_statements(published):
    answer = published("SELECT 1 AS a, 2 AS a, load AS \"b c\", core, core + 1, '' AS \"\" FROM cpu "
                       "ORDER BY core LIMIT 1")
    assert answer.columns == ["a", "a", "b c", "core", "core + 1", ""]
    assert answer.rows == [(1, 2, 0.5, 0, 1, "")]
    assert published("SELECT 1 AS a WHERE 0").columns == ["a"]


def test_sql_parameters_are_bound_by_position_and_by_name(published):
    value = query_pb2.Value
    answer = published("SELECT core, ?2 FROM cpu WHERE load = ?1",
                       parameters=[value(real=1.5), value(text="t'; DROP TABLE cpu")])
    assert answer.rows == [(1, "t'; DROP TABLE cpu")]
    answer = published("SELECT :a || $b || @c, ?", named_parameters={
        ":a": value(text="1"), "$b": value(text="2"), "@c": value(text="3")})
    assert answer.rows == [("123", None)]


# Each with comments, blanks and letters that would mislead who looks at the text.
REFUSED = [
    "CREATE TABLE x (a)", "CREATE TEMP TABLE x AS SELECT 1", "CREATE VIEW v AS SELECT 1",
    "CREATE TEMP VIEW v AS SELECT 1", "CREATE INDEX i ON cpu (core)",
    "CREATE TEMP TRIGGER t AFTER INSERT ON cpu BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE f USING fts5(a)", "INSERT INTO cpu VALUES (9, 9)",
    "INSERT INTO cpu SELECT * FROM cpu", "REPLACE INTO cpu VALUES (9, 9)", "UPDATE cpu SET core = 9",
    "DELETE FROM cpu", "DELETE FROM cpu WHERE 0", "DROP TABLE cpu", "DROP TABLE IF EXISTS cpu",
    "DROP VIEW IF EXISTS cpu", "ALTER TABLE cpu RENAME TO c", "ALTER TABLE cpu ADD COLUMN x",
    "WITH x AS (SELECT 1) INSERT INTO cpu SELECT 1, 1", "WITH x AS (SELECT 1) DELETE FROM cpu",
    "UPDATE cpu SET core = 1 RETURNING core", "INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)",
    "ATTACH '/etc/passwd' AS p", "ATTACH ':memory:' AS m", "ATTACH 'file:x?mode=memory' AS m",
    "DETACH main", "DETACH temp", "PRAGMA journal_mode = DELETE", "PRAGMA writable_schema = ON",
    "PRAGMA query_only = 0", "PRAGMA trusted_schema = 1", "PRAGMA user_version = 7",
    "PRAGMA cache_size = -1000000", "PRAGMA mmap_size = 1000000000", "PRAGMA wal_checkpoint",
    "PRAGMA optimize", "PRAGMA incremental_vacuum", "PRAGMA schema_version = 1",
    "PRAGMA case_sensitive_like = 1", "PRAGMA hard_heap_limit = 1", "PRAGMA temp_store = 1",
    "VACUUM", "VACUUM INTO '{path}'", "BEGIN", "BEGIN EXCLUSIVE", "COMMIT", "ROLLBACK", "END",
    "SAVEPOINT s", "RELEASE s", "REINDEX", "ANALYZE",
    "SELECT load_extension('/lib/x86_64-linux-gnu/libc.so.6')", "SELECT readfile('/etc/passwd')",
    "SELECT writefile('{path}', 'x')", "SELECT edit('x', 'touch {path}')",
    "SELECT fts3_tokenizer('simple')", "EXPLAIN DELETE FROM cpu",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_sql_everything_else_is_refused(published, tmp_path, sql):
    path = tmp_path / "must_not_exist"
    code, message = system.code_and_message(lambda: published(sql.format(path=path)))
    # What is not there cannot be used, and that may be found first: a function, or a table of a
    # schema that has none.
    assert code == "PERMISSION_DENIED" or (
        code == "INVALID_ARGUMENT" and re.search("no such|may not be modified", message)), message
    assert not os.path.exists(path)


def test_sql_the_text_of_a_statement_does_not_matter(published):
    for sql in ("/* SELECT */ DROP TABLE cpu", "-- SELECT 1\nDELETE FROM cpu",
                " \t\r\n/**/ dRoP\n/*;*/taBLe \"cpu\"", "\ufeffDROP TABLE cpu",
                "WITH \"SELECT\" AS (VALUES (1)) UPDATE cpu SET core = 1"):
        code, _ = system.code_and_message(lambda: published(sql))  # pylint: disable=cell-var-from-loop
        assert code == "PERMISSION_DENIED", sql
    # And what only looks like harm is answered.
    answer = published("SELECT 'DELETE FROM cpu' AS \"DROP TABLE\" /* ATTACH 'x' AS y */ -- PRAGMA")
    assert (answer.columns, answer.rows) == (["DROP TABLE"], [("DELETE FROM cpu",)])


def test_sql_nothing_that_was_refused_has_left_a_trace(published):
    assert published("SELECT core, load FROM cpu ORDER BY core").rows == [
        (0, 0.5), (1, 1.5), (2, None)]
    assert published("SELECT name FROM sqlite_temp_master").rows == []


SHOWN = ["SHOW TABLES", "SHOW TABLES LIKE 'qasino%'", "SHOW CONNECTIONS", "SHOW INFO", "SHOW VIEWS",
         "SHOW GENERATIONS", "DESC qasino_server_info", "show tables;", "  Desc  CPU ; ",
         "sHoW\ninfo"]


@pytest.mark.parametrize("sql", SHOWN)
def test_sql_show_and_desc_work_through_every_door(qasino, published, sql):
    answer = published(sql)
    assert answer.columns
    generation = str(answer.generation)
    ended = system.run_program(system.SQL_CLIENT, "-p", qasino.query.port("query"), "--generation",
                               generation, "--format", "csv", "-q", sql)
    assert ended.code == 0, ended.err
    header, *rows = csv.reader(io.StringIO(ended.out))
    assert header == answer.columns
    assert len(rows) == len(answer.rows)


def test_sql_a_query_sees_one_snapshot_from_beginning_to_end(qasino):
    client = qasino.client
    rows = 2000
    sql = "SELECT marker, n FROM seen_whole ORDER BY n"

    def publish():
        return client.publish("h1", tables.table("seen_whole", {
            "marker": (INTEGER, [client.generation()] * rows), "n": (INTEGER, list(range(rows))),
            "filler": (TEXT, ["x" * 1000] * rows)}))

    generation = publish().generation
    client.answer_of(generation, sql)
    # An answer of some hundred messages of which one is read in each of several generations.
    call = client.query_stub.Query(query_pb2.QueryRequest(
        sql="SELECT marker, m.n, filler FROM seen_whole m, (SELECT n FROM seen_whole LIMIT 20)",
        generation=generation), timeout=system.DEADLINE)
    responses = [next(call)]
    for later in (1, 2):
        publish()
        client.wait_for_generation(generation + later)
        responses.append(next(call))
    responses.extend(call)
    answer = tables.read_answer(iter(responses))
    assert answer.generation == generation
    assert len(answer.rows) == rows * 20
    assert len(set(answer.column("marker"))) == 1
    # And so does one of the newest, joined with itself over and over.
    for _ in range(20):
        publish()
        answer = client.try_query(
            "SELECT count(DISTINCT a.marker), min(b.marker) = max(a.marker) FROM seen_whole a, "
            "(SELECT * FROM seen_whole LIMIT 50) b")
        assert answer is None or answer.rows == [(1, 1)]


def test_sql_a_retained_generation_may_be_asked(qasino):
    client = qasino.client
    published = {}
    while len(published) < 3:
        response = client.publish("h1", numbered("history", len(published)))
        if not response.duplicate:
            published[response.generation] = len(published)
    client.whole_manifest(max(published))
    for generation, number in published.items():
        answer = client.answer_of(generation, "SELECT n FROM history")
        assert answer.rows == [(number,)]
        info = client.query("SHOW INFO", generation=generation)
        assert info.column("generation_number") == [generation]
    held = client.generations()
    shown = client.query("SHOW GENERATIONS").column("generation")
    assert shown == sorted(shown, reverse=True)
    assert set(published) <= set(shown) | set(client.generations())
    for generation in (min(held) - 1000, max(held) + 1000, 1):
        code, message = system.code_and_message(
            lambda: client.query("SELECT 1", generation=generation))  # pylint: disable=cell-var-from-loop
        assert code == "NOT_FOUND"
        assert re.search(r"oldest.*\d{10}", message), message


def test_sql_the_running_generation_may_be_asked(qasino):
    client, last = qasino.client, len(qasino.ingests) - 1
    client.publish("h3", numbered("running_static", 3), static=True)
    client.publish("h4", numbered("running_kept", 4), persist=True)

    def attempt():
        client.wait_for_a_new_generation()
        generations = {client.publish("h1", numbered("running_now", 1)).generation,
                       client.publish("h2", numbered("running_now", 2), last).generation}
        answer = client.try_query(
            "SELECT n FROM running_now UNION SELECT n FROM running_static "
            "UNION SELECT n FROM running_kept ORDER BY n", running=True)
        return answer if answer is not None and generations == {answer.generation} else None

    answer = system.wait_for(attempt, "the running generation's own answer")
    assert answer.rows == [(1,), (2,), (3,), (4,)]
    code, message = system.code_and_message(
        lambda: client.query("SELECT * FROM qasino_server_info", running=True))
    assert (code, "no such table" in message) == ("INVALID_ARGUMENT", True)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
LIMITS = {
    "time": (ENDLESS + "SELECT count(*) FROM n", "DEADLINE_EXCEEDED", "5s"),
    "rows": (ENDLESS + "SELECT i FROM n", "RESOURCE_EXHAUSTED", "200,?000"),
    "memory": ("SELECT " + ", ".join(["randomblob(15000000)"] * 5), "RESOURCE_EXHAUSTED",
               "memory"),
    "memory for sorting": (ENDLESS + "SELECT x FROM (SELECT i || hex(zeroblob(50000)) AS x FROM n "
                           "LIMIT 5000) ORDER BY x", "RESOURCE_EXHAUSTED", "memory|MiB"),
}


# The limit of time by itself: on a machine that does more, a query is slow to come to another.
@pytest.mark.parametrize("timeout, limits", [
    ("5s", ["time"]), ("50s", [limit for limit in LIMITS if limit != "time"])])
def test_sql_a_limit_ends_in_a_clear_error_and_the_next_query_is_answered(start, timeout, limits):
    qasino = start({"query": {"--query-timeout": timeout, "--max-rows": 200_000,
                              "--max-query-memory": "64MiB"}})
    for limit in limits:
        sql, code, words = LIMITS[limit]
        with pytest.raises(grpc.RpcError) as error:
            qasino.client.query(sql)
        assert error.value.code().name == code, (limit, error.value.details())
        assert re.search(words, error.value.details()), limit
        assert qasino.client.query("SELECT 6 * 7").rows == [(42,)]
