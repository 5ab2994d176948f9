"""The same rules hold through every door: gRPC, HTTP (as legacy JSON by GET and by POST, as CSV, as
NDJSON, as text), ZeroMQ and the line protocol. Each case is asked through each of them:

"One contract suite runs over every door and both modes: the same cases."
    test_doors_a_statement_has_the_same_answer_through_every_door
    test_doors_show_and_desc_work_through_every_door
    test_doors_what_is_wrong_is_told_with_the_same_words_through_every_door
    test_doors_what_does_more_than_read_is_refused_by_every_door
    test_doors_a_limit_ends_in_a_clear_error_through_every_door
And for those that take tables:
    test_doors_what_is_published_through_a_door_is_in_the_snapshot
    test_doors_rows_of_other_identities_are_merged_whatever_their_door
    test_doors_the_same_table_and_identity_count_once_a_generation
    test_doors_an_update_replaces_rows_by_their_keys
    test_doors_a_static_table_replaces_its_rows_and_is_visible_at_once
    test_doors_a_persistent_table_is_carried_until_it_is_published_without_persist
    test_doors_a_bad_table_is_refused_whole_by_every_door
"""

import re

import pytest

from testing.e2e import door_clients, doors, system, tables
from testing.e2e.door_clients import DOORS, PUBLISHING, Refused
from testing.e2e.tables import BLOB, INTEGER, REAL, TEXT

FLAGS = {"doors": doors.ALL, "store": {"--retain": 100},
         "query": {"--views-file": "{directory}/views.yaml", "--max-rows": 200_000,
                   "--query-timeout": "5s"}}


@pytest.fixture(name="doors_", scope="module")
def doors_fixture(qasino):
    """A client of each door; the snapshot has static tables and a view that stay."""
    with open(f"{qasino.directory}/views.yaml", "w", encoding="utf-8") as file:
        file.write("- viewname: busy\n  view: CREATE VIEW busy AS SELECT * FROM cpu WHERE n > 1\n")
    qasino.client.publish("h1", tables.table("cpu", {
        "name": (TEXT, ["a", "b", None]), "n": (INTEGER, [1, -2, 9223372036854775807]),
        "load": (REAL, [0.5, 1e-05, None])}), static=True)
    qasino.client.publish("h1", tables.table("empty", {"a": (INTEGER, []), "b": (TEXT, [])}),
                          static=True)
    qasino.client.publish("h1", tables.table("odd", {
        "select": (TEXT, ["tab\there", "line\nbreak", "quote\"'s", "back\\slash", "é€", "日本",
                          "</td>&amp;", "comma, semi;colon", "bell\x07", ""]),
        "order": (BLOB, [b"ab", b"", None, b"x", b"y", b"z", b"1", b"2", b"3", b"4"])}),
        static=True)
    qasino.client.query_until("SELECT * FROM busy, odd", lambda answer: True)
    qasino.client.query_until("SELECT * FROM empty", lambda answer: True)
    clients = {name: kind(qasino) for name, kind in DOORS.items()}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture(name="door", params=DOORS)
def door_fixture(doors_, request):
    """Each door."""
    client = doors_[request.param]
    client.name = request.param
    return client


@pytest.fixture(name="publisher", params=PUBLISHING)
def publisher_fixture(doors_, request):
    """Each door that takes tables."""
    client = doors_[request.param]
    client.name = request.param
    return client


NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) SELECT i FROM n"

# statement: (columns, rows)
STATEMENTS = {
    "SELECT 1": (["1"], [["1"]]),
    "select\n 1 as a , 'x' as b": (["a", "b"], [["1", "x"]]),
    "SELECT * FROM cpu": (["name", "n", "load"], [
        ["a", "1", "0.5"], ["b", "-2", "1.0e-05"], ["", "9223372036854775807", ""]]),
    "SELECT * FROM CPU WHERE name = 'b'": (["name", "n", "load"], [["b", "-2", "1.0e-05"]]),
    "SELECT * FROM busy ORDER BY n": (["name", "n", "load"], [["", "9223372036854775807", ""]]),
    "SELECT a, b FROM empty": (["a", "b"], []),
    "SELECT name AS x FROM cpu WHERE 0": (["x"], []),
    "SELECT count(*), sum(n) FROM cpu WHERE n < 10": (["count(*)", "sum(n)"], [["2", "-1"]]),
    "WITH x(y) AS (VALUES (1), (2)) SELECT y FROM x": (["y"], [["1"], ["2"]]),
    "VALUES (1, 'a'), (2, NULL)": (["column1", "column2"], [["1", "a"], ["2", ""]]),
    "SELECT 1 AS a, 2 AS a, 3 AS A": (["a", "a", "A"], [["1", "2", "3"]]),
    "SELECT 1.0 AS a, 0.1 AS b, 1e11 AS c, 1e20 AS d, 123456.789 AS e, -0.001 AS f":
        (["a", "b", "c", "d", "e", "f"],
         [["1.0", "0.1", "100000000000.0", "1.0e+20", "123456.789", "-0.001"]]),
    "SELECT NULL AS a, '' AS b, 0 AS c": (["a", "b", "c"], [["", "", "0"]]),
    "SELECT \"select\" FROM odd WHERE \"select\" LIKE '%semi%'":
        (["select"], [["comma, semi;colon"]]),
    "SELECT \"select\" FROM odd WHERE \"select\" IN ('é€', '</td>&amp;') ORDER BY 1":
        (["select"], [["</td>&amp;"], ["é€"]]),
    "SELECT 'a''b' AS q, 'it; is' AS r -- and a comment": (["q", "r"], [["a'b", "it; is"]]),
    "SELECT /* ; */ 5 AS n": (["n"], [["5"]]),
    NUMBERS.format(5000): (["i"], [[str(n)] for n in range(1, 5001)]),
    "SELECT 'DROP TABLE cpu' AS a": (["a"], [["DROP TABLE cpu"]]),
}


@pytest.mark.parametrize("sql", STATEMENTS)
def test_doors_a_statement_has_the_same_answer_through_every_door(door, sql):
    columns, rows = STATEMENTS[sql]
    answer = door.ask(sql)
    assert answer.rows == rows
    if answer.columns is not None:
        assert answer.columns == columns


def test_doors_text_comes_as_it_is_through_every_door(door):
    # A row of the text rendering is one line, so there control characters are shown escaped.
    texts = ["tab\there", "line\nbreak", "quote\"'s", "back\\slash", "é€", "</td>&amp;",
             "comma, semi;colon", "bell\x07", ""]
    expected = {text: text for text in texts}
    if door.name in ("text", "line"):
        expected.update({"tab\there": "tab\\there", "line\nbreak": "line\\nbreak"})
        texts.remove("bell\x07")
        if "\\\\" in door.ask("SELECT 'back\\slash'").rows[0][0]:
            expected["back\\slash"] = "back\\\\slash"
    for text in texts:
        quoted = text.replace("'", "''")
        (row,) = door.ask(f"SELECT \"select\" AS a FROM odd WHERE \"select\" = '{quoted}'").rows
        assert row == [expected[text]]


def same_snapshot(door, reference, sql):
    """(the door's answer, that of gRPC to the same statement), both of one snapshot."""
    generation = "SELECT generation_number FROM qasino_server_info"

    def attempt():
        before = reference.ask(generation)
        pair = door.ask(sql), reference.ask(sql)
        return pair if reference.ask(generation) == before else None

    return system.wait_for(attempt, "two answers of one generation")


SHOWS = ["SHOW TABLES", "show tables;", "  SHOW\n TABLES  like 'c%' ;", "SHOW TABLES LIKE 'odd'",
         "SHOW CONNECTIONS", "Show Info", "SHOW VIEWS", "SHOW GENERATIONS", "DESC cpu",
         "desc EMPTY;", "DESC odd", "DESC qasino_server_info", "DESC VIEW busy",
         "DESC qasino_server_tables", "SELECT * FROM qasino_server_views"]


@pytest.mark.parametrize("sql", SHOWS)
def test_doors_show_and_desc_work_through_every_door(door, doors_, sql):
    # A snapshot may get a further revision while a generation is complete; so once more.
    for _ in range(5):
        answer, expected = same_snapshot(door, doors_["grpc"], sql)
        if answer.rows == expected.rows:
            break
    assert answer.rows == expected.rows
    if answer.columns is not None:
        assert answer.columns == expected.columns


def test_doors_show_tables_like_through_every_door(door):
    answer = door.ask("SHOW TABLES LIKE 'cpu'")
    if answer.columns is None:
        return
    (row,) = answer.rows
    cells = dict(zip(answer.columns, row))
    assert (cells["tablename"], cells["nr_rows"], cells["static"]) == ("cpu", "3", "1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC",
                        cells["last_update_datetime"])


def refusal(door, sql):
    with pytest.raises(Refused) as refused:
        door.ask(sql)
    return str(refused.value)


WRONG = {
    "SELECT * FROM nowhere": "no such table: nowhere",
    "SELECT missing FROM cpu": "no such column: missing",
    "SELECT 1 +": "",
    "SELECT": "",
    "SELECT (((1)": "",
    "SELECT * FROM cpu WHERE": "",
    "DESC nowhere": "Table nowhere not found",
    "DESC VIEW nothing": "View nothing not found",
    "SELECT nofunction(1)": "no such function: nofunction",
    "SELECT abs(-9223372036854775807 - 1)": "integer overflow",
}


@pytest.mark.parametrize("sql", WRONG)
def test_doors_what_is_wrong_is_told_with_the_same_words_through_every_door(door, doors_, sql):
    # The doors put a `;` behind it, which SQLite may name.
    expected = refusal(doors_["grpc"], sql + ";")
    assert WRONG[sql] in expected
    assert refusal(door, sql) in (expected, refusal(doors_["grpc"], sql))


REFUSED = ["INSERT INTO cpu VALUES (1, 2, 3)", "DELETE FROM cpu", "DROP TABLE cpu",
           "CREATE TABLE x (a)", "UPDATE cpu SET n = 1", "ATTACH ':memory:' AS m",
           "PRAGMA writable_schema = 1", "VACUUM", "BEGIN", "COMMIT", "ALTER TABLE cpu ADD x",
           "WITH x AS (SELECT 1) DELETE FROM cpu"]


@pytest.mark.parametrize("sql", REFUSED)
def test_doors_what_does_more_than_read_is_refused_by_every_door(door, sql):
    # The line protocol's statement ends as it was sent, with what the client put behind it.
    message = refusal(door, sql)
    assert message.startswith(f"ERROR: Unrecognized statement: {sql}")
    assert door.ask("SELECT count(*) FROM cpu").rows == [["3"]]


SECOND = ["SELECT 1; SELECT 2", "SELECT 1;; SELECT 2", "SELECT 1; DROP TABLE cpu"]


@pytest.mark.parametrize("sql", SECOND)
def test_doors_a_second_statement_is_an_error_and_nothing_runs(door, sql):
    if door.name == "line":
        return  # There each statement has its own answer: legacy_line_test.py.
    message = refusal(door, sql)
    assert "one statement" in message or message.startswith("ERROR: Unrecognized statement: ")
    assert door.ask("SELECT count(*) FROM cpu").rows == [["3"]]


def test_doors_a_limit_ends_in_a_clear_error_through_every_door(door):
    # Past the first rows: those doors that have sent some by then say it at the end, by the
    # connection's end or as a record.
    sql = NUMBERS.format(2_000_000).replace("SELECT i FROM n", "SELECT sum(i) FROM n, n AS m")
    try:
        message = refusal(door, sql)
    finally:
        assert door.ask("SELECT 1").rows == [["1"]]
    assert message


def publishing(identity, table, columns, rows, **options):
    """A message of the legacy dialect. columns: {"name": "type"}."""
    return {"identity": identity, **options, "table": {
        "tablename": table, "column_names": list(columns), "column_types": list(columns.values()),
        "rows": rows}}


def test_doors_what_is_published_through_a_door_is_in_the_snapshot(qasino, publisher):
    name = f"published_{publisher.name}"
    rows = [[1, "x", 0.5], [None, "é\n\"", None], [-9223372036854775808, "", 1e300]]
    message = publishing("h1", name, {"a": "int", "b": "text", "c": "real"}, rows, persist=1)
    publisher.publish(message)
    answer = qasino.client.query_until(f"SELECT a, b, c FROM {name}")
    assert answer.rows == [tuple(row) for row in rows]
    answer = qasino.client.query(f"DESC {name}")
    assert answer.rows == [("a", "INTEGER"), ("b", "TEXT"), ("c", "REAL")]


def test_doors_rows_of_other_identities_are_merged_whatever_their_door(qasino, doors_):
    for name in PUBLISHING:
        doors_[name].publish(publishing(
            name, "merged", {"door": "text", f"only_{name}": "int"}, [[name, 1]], persist=1))
    answer = qasino.client.query_until(
        "SELECT * FROM merged", lambda answer: len(answer.rows) == len(PUBLISHING))
    assert sorted(answer.column("door")) == sorted(PUBLISHING)
    for row in answer.dicts():
        own = f"only_{row.pop('door')}"
        assert row.pop(own) == 1
        assert set(row.values()) == {None}


def test_doors_the_same_table_and_identity_count_once_a_generation(qasino, publisher):
    name = f"once_{publisher.name}"

    def attempt():
        qasino.client.wait_for_a_new_generation()
        for number in (1, 2):
            publisher.publish(publishing("h1", name, {"n": "int"}, [[number]]))
        answer = qasino.client.query_until(f"SELECT n FROM {name}")
        assert answer.rows == [(1,)]
        # When the two were in two generations, the second has its turn in the next.
        qasino.client.wait_for_generation(answer.generation + 1)
        return qasino.client.try_query(f"SELECT n FROM {name}",
                                       generation=answer.generation + 1) is None

    system.wait_for(attempt, "two publishes in one generation")


def test_doors_an_update_replaces_rows_by_their_keys(qasino, publisher):
    name = f"updated_{publisher.name}"
    options = {"update": 1, "persist": True, "keycols": "k"}
    publisher.publish(publishing("h1", name, {"k": "int", "a": "text", "b": "text"},
                                 [[1, "a1", "b1"], [2, "a2", "b2"]], **options))
    publisher.publish(publishing("h1", name, {"k": "int", "a": "text"},
                                 [[2, "new"], [3, "a3"]], **options))
    answer = qasino.client.query_until(f"SELECT k, a, b FROM {name} ORDER BY k",
                                       lambda answer: len(answer.rows) == 3)
    assert answer.rows == [(1, "a1", "b1"), (2, "new", "b2"), (3, "a3", None)]


def test_doors_a_static_table_replaces_its_rows_and_is_visible_at_once(qasino, publisher):
    name = f"static_{publisher.name}"
    for number in (1, 2):
        publisher.publish(publishing(f"h{number}", name, {"n": "int"}, [[number]], static=1))
        qasino.client.query_until(f"SELECT n FROM {name}",
                                  lambda answer, n=number: answer.rows == [(n,)])


def test_doors_a_persistent_table_is_carried_until_it_is_published_without_persist(
        qasino, publisher):
    name = f"kept_{publisher.name}"
    publisher.publish(publishing("h1", name, {"n": "int"}, [[1]], persist=1))
    first = qasino.client.query_until(f"SELECT n FROM {name}").generation
    qasino.client.wait_for_generation(first + 2)
    assert qasino.client.query(f"SELECT n FROM {name}").rows == [(1,)]
    qasino.client.wait_for_a_new_generation()
    publisher.publish(publishing("h1", name, {"n": "int"}, [[2]]))
    qasino.client.query_until(f"SELECT n FROM {name}", lambda answer: answer.rows == [(2,)])
    system.wait_for(lambda: qasino.client.try_query(f"SELECT n FROM {name}") is None,
                    "a table that is carried no longer")


BAD_TABLES = {
    "a name that is none": publishing("h", "a b", {"a": "int"}, [[1]]),
    "a name that begins with a digit": publishing("h", "1a", {"a": "int"}, [[1]]),
    "a name of the server": publishing("h", "qasino_server_info", {"a": "int"}, [[1]]),
    "a name of SQLite": publishing("h", "sqlite_master", {"a": "int"}, [[1]]),
    "a column that is no name": publishing("h", "bad", {"a": "int", "b-c": "int"}, [[1, 2]]),
    "a column twice": publishing("h", "bad", {"a": "int", "A": "int"}, [[1, 2]]),
    "no columns": publishing("h", "bad", {}, []),
    "no identity": publishing("", "bad", {"a": "int"}, [[1]]),
    "an identity with a control character": publishing("h\n", "bad", {"a": "int"}, [[1]]),
    "a key that is no column": publishing("h", "bad", {"a": "int"}, [[1]], update=1, keycols="b"),
    "static and persist": publishing("h", "bad", {"a": "int"}, [[1]], static=1, persist=1),
    "static and update": publishing("h", "bad", {"a": "int"}, [[1]], static=1, update=1),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_doors_a_bad_table_is_refused_whole_by_every_door(qasino, publisher, case):
    with pytest.raises(Refused) as refused:
        publisher.publish(BAD_TABLES[case])
    assert len(str(refused.value)) > 5
    assert qasino.client.try_query("SELECT * FROM bad") is None


def test_doors_the_identity_is_the_adapters_own(qasino):
    http_door = door_clients.HttpDoor(qasino)
    zmq_door = door_clients.ZmqDoor(qasino)
    expected = f'"identity":"{doors.IDENTITY}"'.encode()
    assert expected in http_door.request("GET", "/request?op=query&sql=select%201").body
    assert expected in zmq_door.request({"op": "query", "sql": "select 1"})[0]
    http_door.close()
    zmq_door.close()
