"""The HTTP door, asked by curl as people's scripts do: each request of the original's protocol,
with its answers and its errors word for word. (CSV tables: legacy_csv_test.py; what of HTTP itself
is used, and results other than JSON: http_door_test.py; TLS and passwords: https_door_test.py.)"""

import json
import re
import urllib.parse

import pytest

from testing.e2e import doors, system, tables
from testing.e2e.door_clients import curl, quoted
from testing.e2e.tables import INTEGER, TEXT

FLAGS = {"doors": {"http": {}}, "store": {"--retain": 100}, "query": {"--query-timeout": "5s"}}

OK = b'{"response_op":"ok","identity":"qasino"}'


def error(message):
    return ('{"response_op":"error","identity":"qasino","error_message":'
            + json.dumps(message, ensure_ascii=False) + "}").encode()


@pytest.fixture(name="url", scope="module")
def url_fixture(qasino):
    """Where the original has its API; a table is there."""
    qasino.client.publish("h1", tables.table("t", {
        "a": (INTEGER, [1, 2]), "b": (TEXT, ["x", None])}), static=True)
    qasino.client.query_until("SELECT * FROM t")
    return f"http://127.0.0.1:{qasino.door('http')}/request"


def is_json(response):
    return response.headers["content-type"].split(";")[0] == "application/json"


def is_text(response):
    return response.headers["content-type"].split(";")[0] == "text/plain"


# The rows of the table of requests.

RESULT = (b'{"response_op":"result_table","identity":"qasino","table":{"column_names":["a","b"],'
          b'"rows":[["1","x"],["2",""]]},"max_widths":{"0":1,"1":1}}')


@pytest.mark.parametrize("sql", [
    "select a, b from t", "select a, b from t;", "SELECT a, b FROM t ;", "  select a,\n b from t\n",
    "select a, b from t -- end"])
def test_get_query(url, sql):
    response = curl(f"{url}?op=query&sql={quoted(sql)}")
    assert (response.status, response.body) == (200, RESULT)
    assert is_json(response)


def test_get_query_as_curl_encodes_it(url):
    response = curl("-G", url, "-d", "op=query", "--data-urlencode", "sql=select a, b from t;")
    assert (response.status, response.body) == (200, RESULT)


def test_get_query_with_blanks_as_plus(url):
    assert curl(f"{url}?sql=select+a,+b+from+t&op=query").body == RESULT


def test_the_first_value_of_a_parameter_counts(url):
    assert curl(f"{url}?op=query&sql=select+a,b+from+t&sql=select+2&op=nonsense").body == RESULT


def test_a_bare_semicolon_separates_parameters(url):
    assert curl(f"{url}?op=query;sql=select+a,b+from+t").body == RESULT
    assert curl(f"{url}?op=query&sql=select+a,b+from+t;").body == RESULT
    assert curl(f"{url}?op=query&sql=select+a,b+from+t%3B").body == RESULT


def test_get_query_as_text(url):
    sql = quoted("select 'x' as name, 12 as n")
    response = curl(f"{url}?op=query&format=text&sql={sql}")
    assert response.status == 200
    assert response.body == b"name   n\n====  ==\n   x  12\n1 rows returned\n"
    assert is_text(response)


def test_get_query_as_text_without_rows(url):
    response = curl(f"{url}?op=query&format=text&sql={quoted('select a, b from t where 0')}")
    assert response.body == b"a  b\n=  =\n0 rows returned\n"


def test_get_query_as_html(url):
    sql = quoted("select '<b>&' as a, 1 as n")
    response = curl(f"{url}?op=query&format=html&sql={sql}")
    assert response.status == 200
    assert response.headers["content-type"].split(";")[0] == "text/html"
    text = response.body.decode()
    assert "&lt;b&gt;&amp;" in text and "<b>&" not in text
    assert re.search(r"<table\b", text) and "</table>" in text


def test_post_query(url):
    response = curl(f"{url}?op=query", "-d", '{"sql":"select a, b from t"}')
    assert (response.status, response.body) == (200, RESULT)
    assert is_json(response)


def test_a_post_is_read_as_it_is_whatever_its_content_type(url):
    for content_type in ("application/json", "application/x-www-form-urlencoded", "text/plain",
                         "image/png", ""):
        response = curl(f"{url}?op=query", "-H", f"Content-Type: {content_type}".strip(),
                        "-d", '{"sql":"select a, b from t;"}')
        assert (response.status, response.body) == (200, RESULT)


def test_a_query_without_rows_has_its_real_column_names(url):
    response = curl(f"{url}?op=query&sql={quoted('select a, b as long_name from t where 0')}")
    assert response.body == (
        b'{"response_op":"result_table","identity":"qasino","table":{"column_names":'
        b'["a","long_name"],"rows":[]},"max_widths":{"0":1,"1":9}}')


def test_every_cell_is_a_string_and_widths_are_the_longest(url):
    sql = ("select 12345 as a, 1.0 as b, null as c, 'é€' as d, 'a\"b' as e, x'6162' as f, "
           "'\\' as g")
    response = curl(f"{url}?op=query&sql={quoted(sql)}")
    assert response.body.decode() == (
        '{"response_op":"result_table","identity":"qasino","table":{"column_names":'
        '["a","b","c","d","e","f","g"],"rows":[["12345","1.0","","é€","a\\"b","ab","\\\\"]]},'
        '"max_widths":{"0":5,"1":3,"2":1,"3":2,"4":3,"5":2,"6":1}}')


@pytest.mark.parametrize("value, cell", [
    ("0.1", "0.1"), ("1.0", "1.0"), ("1e11", "100000000000.0"), ("1e20", "1.0e+20"),
    ("0.00001", "1.0e-05"), ("0.1 + 0.2", "0.3"), ("1.0 / 3", "0.333333333333333"),
    ("9223372036854775807", "9223372036854775807"), ("-1", "-1"),
    ("123456789.125", "123456789.125"), ("'line' || char(10) || 'two'", "line\ntwo"),
    ("char(1)", "\x01"), ("'日本'", "日本")])
def test_cells_are_rendered_as_sqlite_does(url, value, cell):
    response = curl(f"{url}?op=query&sql={quoted(f'select {value} as v')}")
    assert json.loads(response.body)["table"]["rows"] == [[cell]]


def test_desc_has_no_widths(url):
    response = curl(f"{url}?op=query&sql={quoted('desc t;')}")
    assert response.body == (
        b'{"response_op":"result_table","identity":"qasino","table":{"column_names":'
        b'["column_name","column_type"],"rows":[["a","INTEGER"],["b","TEXT"]]}}')


@pytest.mark.parametrize("word", ["quit;", "exit;", "logout;", " QUIT ;"])
def test_goodbye_is_answered_without_a_response_op(url, word):
    response = curl(f"{url}?op=query&sql={quoted(word)}")
    assert (response.status, response.body) == (200, b'{"identity":"qasino"}')


def test_get_name_value_update(qasino, url):
    updates = [("host1", "load", "1.5"), ("host1", "users", "7"), ("host2", "load", "x y&z"),
               (None, "load", "0"), ("host1", "load", "2.5")]
    for identity, column, value in updates:
        parameters = f"op=name_value_update&name=stats.{column}&value={quoted(value)}"
        if identity:
            parameters += f"&identity={identity}"
        response = curl(f"{url}?{parameters}")
        assert (response.status, response.body) == (200, OK)
        assert is_json(response)
    answer = qasino.client.query_until("SELECT identity, load, users FROM stats ORDER BY identity",
                                       lambda answer: len(answer.rows) == 3)
    assert answer.rows == [("host1", "2.5", "7"), ("host2", "x y&z", None), ("unknown", "0", None)]
    assert answer.types == [TEXT, TEXT, TEXT]


def post_table(url, message):
    return curl(f"{url}?op=add_table_data", "-d", json.dumps(message))


EXAMPLE = {"op": "add_table_data", "identity": "host1", "persist": 1,
           "table": {"tablename": "example", "column_names": ["a", "b"],
                     "column_types": ["int", "text"], "rows": [[1, "x"], [2, None]]}}


def test_post_add_table_data(qasino, url):
    response = post_table(url, EXAMPLE)
    assert (response.status, response.body) == (200, OK)
    assert is_json(response)
    answer = qasino.client.query_until("SELECT * FROM example")
    assert (answer.columns, answer.rows) == (["a", "b"], [(1, "x"), (2, None)])
    assert curl(f"{url}?op=query&sql={quoted('select * from example')}").body == RESULT


def test_the_example_with_types_ip_string_int(qasino, url):
    message = {"op": "add_table_data", "identity": "1.2.3.4", "persist": 1, "table": {
        "tablename": "addresses", "column_types": ["ip", "string", "int"],
        "column_names": ["address", "status", "stat1"],
        "rows": [["1.2.3.4", "UP", 5], ["5.6.7.8", "DOWN", 6]]}}
    assert post_table(url, message).body == OK
    answer = qasino.client.query_until("SELECT * FROM addresses")
    assert answer.rows == [("1.2.3.4", "UP", 5), ("5.6.7.8", "DOWN", 6)]


TYPES = {"INTEGER": ["integer", "int", "ll", "time", "bigint", "INT", "Integer"],
         "REAL": ["real", "float", "double", "Real"],
         "TEXT": ["text", "string", "str", "ip", "varchar", "TEXT", "Varchar"], "BLOB": ["blob"]}


def test_every_type_is_accepted_in_any_case(qasino, url):
    words = [word for group in TYPES.values() for word in group]
    response = post_table(url, {"identity": "h1", "persist": 1, "table": {
        "tablename": "types", "column_names": [f"c{n}" for n in range(len(words))],
        "column_types": words, "rows": []}})
    assert response.body == OK
    answer = qasino.client.query_until("DESC types")
    assert answer.column("column_type") == [type_ for type_, group in TYPES.items() for _ in group]


def test_reserved_words_are_fine_as_names(qasino, url):
    response = post_table(url, {"identity": "h1", "persist": 1, "table": {
        "tablename": "order", "column_names": ["select", "index"], "column_types": ["int", "int"],
        "rows": [[1, 2]]}})
    assert response.body == OK
    assert qasino.client.query_until('SELECT "select", "index" FROM "order"').rows == [(1, 2)]


def test_options_are_on_when_truthy_and_other_keys_are_passed_over(qasino, url):
    rows = {"tablename": "truthy", "column_names": ["n"], "column_types": ["int"], "rows": [[1]],
            "comment": {"deep": [1, {"er": None}]}}
    message = {"persist": True, "static": 0, "update": False, "color": "red", "table": rows,
               "identity": "h1", "version": [1, 2], "op": "add_table_data"}
    assert post_table(url, message).body == OK
    first = qasino.client.query_until("SELECT n FROM truthy").generation
    qasino.client.wait_for_generation(first + 2)
    assert qasino.client.query("SELECT n FROM truthy").rows == [(1,)]


def test_a_table_of_another_identity_is_merged_and_one_published_again_is_ignored(qasino, url):
    def message(identity, row):
        return {"identity": identity, "persist": 1, "table": {
            "tablename": "merged", "column_names": list(row), "column_types": ["int"] * len(row),
            "rows": [list(row.values())]}}

    assert post_table(url, message("h1", {"a": 1})).body == OK
    assert post_table(url, message("h2", {"a": 2, "b": 3})).body == OK
    assert post_table(url, message("h1", {"a": 1})).body == OK
    answer = qasino.client.query_until("SELECT a, b FROM merged ORDER BY a",
                                       lambda answer: len(answer.rows) == 2)
    assert answer.rows == [(1, None), (2, 3)]


def test_post_get_table_list(qasino, url):
    assert post_table(url, {"identity": "h1", "persist": 1, "table": {
        "tablename": "listed", "column_names": ["n"], "column_types": ["int"],
        "rows": [[1], [2], [3]]}}).body == OK
    qasino.client.query_until("SELECT * FROM listed")
    response = curl(f"{url}?op=get_table_list", "-d", "{}")
    assert response.status == 200 and is_json(response)
    text = response.body.decode()
    head = '{"response_op":"tables_list","identity":"qasino"}'
    assert text.startswith(head)
    values = json.loads(text[len(head):])
    assert list(values["listed"]) == ["updates", "nr_rows", "last_update_epoch"]
    assert values["listed"]["nr_rows"] == 3 and values["listed"]["updates"] == 1
    assert isinstance(values["listed"]["last_update_epoch"], float)
    assert values["t"]["nr_rows"] == 2
    assert "qasino_server_info" in values


# Errors, word for word. Each is in the body, and the status is 200.

GET_ERRORS = {
    "": "No op specified",
    "?": "No op specified",
    "?op=": None,
    "?sql=select%201": "No op specified",
    "?op=nonsense": "Unrecognized operation",
    "?op=QUERY&sql=select+1": "Unrecognized operation",
    "?op=add_table_data": "Unrecognized operation",
    "?op=add_csv_table_data": "Unrecognized operation",
    "?op=get_table_list": "Unrecognized operation",
    "?op=generation_signal": "Unrecognized operation",
    "?op=name_value_update": "Unrecognized operation",
    "?op=name_value_update&name=t.a": "Unrecognized operation",
    "?op=name_value_update&value=1": "Unrecognized operation",
    "?op=name_value_update&name=nodot&value=1": "Invalid name in namve value update",
    "?op=name_value_update&name=a.b.c&value=1": "Invalid name in namve value update",
    "?op=name_value_update&name=.b&value=1": "Invalid name in namve value update",
    "?op=name_value_update&name=a.&value=1": "Invalid name in namve value update",
    "?op=name_value_update&name=a%20b.c&value=1": "Invalid name in namve value update",
    "?op=query": "Must specify 'sql' param",
    "?op=query&SQL=select+1": "Must specify 'sql' param",
    "?op=query&sql=select+%27a": "Incomplete sql statement",
    "?op=query&sql=select+%22a": "Incomplete sql statement",
    "?op=query&sql=select+1+/*": "Incomplete sql statement",
    "?op=query&sql=select+*+from+nowhere": "SQLError: no such table: nowhere",
    "?op=query&sql=select+missing+from+t": "SQLError: no such column: missing",
    "?op=query&sql=select+1+1+1": 'SQLError: near "1": syntax error',
    "?op=query&sql=desc+nowhere": None,
    "?op=query&sql=drop+table+t": "ERROR: Unrecognized statement: drop table t",
    "?op=query&sql=insert+into+t+values+(1,2)":
        "ERROR: Unrecognized statement: insert into t values (1,2)",
    "?op=query&sql=pragma+writable_schema=1":
        "ERROR: Unrecognized statement: pragma writable_schema=1",
}


@pytest.mark.parametrize("parameters", GET_ERRORS)
def test_get_errors(url, parameters):
    response = curl(url + parameters)
    assert response.status == 200
    assert is_json(response)
    answer = json.loads(response.body)
    assert list(answer) == ["response_op", "identity", "error_message"]
    # A statement is told with or without the `;` that was added to it.
    message = answer["error_message"]
    if message.startswith("ERROR: Unrecognized statement"):
        message = message.removesuffix(";")
    if GET_ERRORS[parameters] is not None:
        assert message == GET_ERRORS[parameters]
    assert response.body == error(answer["error_message"])


def test_desc_of_a_table_that_is_not_there(url):
    response = curl(f"{url}?op=query&sql=desc+nowhere")
    assert "Table nowhere not found" in json.loads(response.body)["error_message"]


POST_ERRORS = [
    ("", "{}", "No op specified"),
    ("?op=nonsense", "{}", "Unrecognized operation"),
    ("?op=name_value_update&name=t.a&value=1", "{}", "Unrecognized operation"),
    ("?op=query", "{}", "Must specify 'sql' param"),
    ("?op=query", '{"sql":null}', "Must specify 'sql' param"),
    ("?op=query&sql=select+1", "{}", "Must specify 'sql' param"),
    ("?op=query", '{"sql":"select \'a"}', "Incomplete sql statement"),
    ("?op=query", '{"sql":"select * from nowhere;"}', "SQLError: no such table: nowhere"),
    ("?op=query", "", "Could not parse POST body: "),
    ("?op=query", "{", "Could not parse POST body: "),
    ("?op=query", "sql=select 1", "Could not parse POST body: "),
    ("?op=query", '{"sql":"select 1"}}', "Could not parse POST body: "),
    ("?op=query", "[1, 2", "Could not parse POST body: "),
    ("?op=add_table_data", "{", "Could not parse POST body: "),
    ("?op=add_table_data", "<xml/>", "Could not parse POST body: "),
    ("?op=add_table_data", '{"table":{"tablename":"t"}', "Could not parse POST body: "),
    ("?op=get_table_list", "{]", "Could not parse POST body: "),
]


@pytest.mark.parametrize("parameters, body, message", POST_ERRORS)
def test_post_errors(url, parameters, body, message):
    response = curl(url + parameters, "-d", body)
    assert response.status == 200 and is_json(response)
    said = json.loads(response.body)["error_message"]
    assert response.body == error(said)
    if message.endswith(": "):
        assert said.startswith(message) and len(said) > len(message)
    else:
        assert said == message


def changed(**changes):
    """The example with other contents of its table; None: without that key."""
    table = {**EXAMPLE["table"], "tablename": "bad", **changes}
    return {"identity": "h1", "table": {key: value for key, value in table.items()
                                        if value is not None}}


BAD_TABLES = {
    "no table": ({"identity": "h1"}, "Invalid input format: 'table'"),
    "no tablename": (changed(tablename=None), "Invalid input format: 'tablename'"),
    "no column_names": (changed(column_names=None), "Invalid input format: 'column_names'"),
    "no column_types": (changed(column_types=None), "Invalid input format: 'column_types'"),
    "no rows": (changed(rows=None), "Invalid input format: 'rows'"),
    "a column's name": (changed(column_names=["a", "b c"]),
                        "Invalid input format: Invalid column name 'b c'"),
    "a column's name with a digit first": (changed(column_names=["a", "1b"]),
                                           "Invalid input format: Invalid column name '1b'"),
    "a column's type": (changed(column_types=["int", "number"]),
                        "Invalid input format: Invalid column type 'number'"),
    "a table's name": (changed(tablename="a-b"), "Invalid input format: "),
    "a ragged row": (changed(rows=[[1, "x"], [2]]), "Invalid input format: "),
    "a row too long": (changed(rows=[[1, "x", 3]]), "Invalid input format: "),
    "too few types": (changed(column_types=["int"]), "Invalid input format: "),
    "an integer beyond 64 bits": (changed(rows=[[1 << 63, "x"]]), "Invalid input format: "),
    "a row that is none": (changed(rows=[1]), "Invalid input format: "),
    "rows that are none": (changed(rows={"a": 1}), "Invalid input format: "),
    "a cell that is a list": (changed(rows=[[1, [2]]]), "Invalid input format: "),
    "a table that is none": ({"identity": "h1", "table": 5}, "Invalid input format: "),
    "no identity": ({"table": changed()["table"]}, "Invalid input format: "),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_cannot_be_stored_is_told_why(qasino, url, case):
    message, said = BAD_TABLES[case]
    response = post_table(url, message)
    assert response.status == 200 and is_json(response)
    text = json.loads(response.body)["error_message"]
    assert response.body == error(text)
    if said.endswith(": "):
        assert text.startswith(said) and len(text) > len(said)
    else:
        assert text == said
    assert qasino.client.try_query("SELECT * FROM bad") is None


TEXT_ERRORS = {
    "": b"Must specify 'sql' param.",
    "&sql=select+%27a": b"Incomplete sql statement",
    "&sql=select+*+from+nowhere": b"SQL error: no such table: nowhere",
}


@pytest.mark.parametrize("parameters", TEXT_ERRORS)
def test_text_errors_have_no_newline(url, parameters):
    response = curl(f"{url}?op=query&format=text{parameters}")
    assert (response.status, response.body) == (200, TEXT_ERRORS[parameters])
    assert is_text(response)


def test_one_statement_a_request_and_nothing_of_two_runs(qasino, url):
    for second in ("select 2", "drop table t;"):
        response = curl(f"{url}?op=query&sql={quoted('select 1; ' + second)}")
        assert response.status == 200
        message = json.loads(response.body)["error_message"]
        assert "one statement" in message or message.startswith("ERROR: Unrecognized statement: ")
    assert qasino.client.query("SELECT count(*) FROM t").rows == [(2,)]


@pytest.mark.parametrize("sql", ["with x as (select 1) select * from x", "values (1)",
                                 "explain select 1", "show tables", "show connections",
                                 "show info", "show views", "desc view nothing"])
def test_statements_other_than_select(url, sql):
    answer = json.loads(curl(f"{url}?op=query&sql={quoted(sql)}").body)
    if sql == "desc view nothing":
        assert answer["response_op"] == "error"
    else:
        assert answer["response_op"] == "result_table"


def test_the_running_generation_is_asked_with_use_write_db(qasino, url):
    name = "just_now"

    def attempt():
        qasino.client.wait_for_a_new_generation()
        post_table(url, {"identity": "h1", "table": {
            "tablename": name, "column_names": ["n"], "column_types": ["int"], "rows": [[7]]}})
        sql = f"select n from {name}"
        response = curl(f"{url}?op=query", "-d", json.dumps({"sql": sql, "use_write_db": 1}))
        return json.loads(response.body).get("table", {}).get("rows") == [["7"]]

    system.wait_for(attempt, "a row of the running generation")


def test_other_paths_are_not_found(url):
    base = url.removesuffix("/request")
    for path in ("/nowhere", "/request/", "/request/x", "/REQUEST", "/..%2f", "/static/nothing"):
        response = curl("--path-as-is", f"{base}{path}?op=query&sql=select+1")
        assert response.status == 404, path
        assert response.body


def test_a_statement_of_many_characters(url):
    text = "x" * 100_000
    response = curl(f"{url}?op=query", "-d", json.dumps({"sql": f"select '{text}' as a"}))
    assert json.loads(response.body)["table"]["rows"] == [[text]]


def test_urls_are_decoded(url):
    sql = "select 'a+b&c=d;e%f é' as v"
    response = curl(f"{url}?{urllib.parse.urlencode({'op': 'query', 'sql': sql})}")
    assert json.loads(response.body)["table"]["rows"] == [["a+b&c=d;e%f é"]]


def test_the_identity_is_the_servers(url):
    for response in (curl(f"{url}?op=query&sql=select+1"), curl(url)):
        assert json.loads(response.body)["identity"] == doors.IDENTITY
