"""CSV tables through add_csv_table_data, as the original reads them: options, types, cells, and
what it says of wrong ones, word for word."""

import json

import pytest

from testing.e2e import doors
from testing.e2e.door_clients import HttpDoor, curl

FLAGS = {"doors": {"http": {}}, "store": {"--retain": 100}}


@pytest.fixture(name="door", scope="module")
def door_fixture(qasino):
    client = HttpDoor(qasino)
    yield client
    client.close()


def post(door, text):
    """The message of an error; None when it is ok."""
    body = text if isinstance(text, bytes) else text.encode()
    response = door.request("POST", "/request?op=add_csv_table_data", body,
                            {"Content-Type": "text/csv"})
    assert response.status == 200
    answer = json.loads(response.body)
    assert answer["identity"] == doors.IDENTITY
    if answer["response_op"] == "error":
        return answer["error_message"]
    assert response.body == b'{"response_op":"ok","identity":"qasino"}'
    return None


def lines(name, columns, types, *rows, options="1,identity=h1,persist=1", ends="\n"):
    descriptions = ",".join("d" * (columns.count(",") + 1))
    return ends.join([options, name, columns, types, descriptions, *rows, ""])


def stored(qasino, name):
    answer = qasino.client.query_until(f"SELECT * FROM {name}")
    return answer.columns, answer.rows


def test_by_curl(qasino, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(lines("by_curl", "a,b", "int,str", "1,x", "2,y"))
    url = f"http://127.0.0.1:{qasino.door('http')}/request?op=add_csv_table_data"
    response = curl(url, "--data-binary", f"@{path}")
    assert (response.status, response.body) == (200, b'{"response_op":"ok","identity":"qasino"}')
    assert stored(qasino, "by_curl") == (["a", "b"], [(1, "x"), (2, "y")])


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_lines_end_in_lf_or_crlf(door, qasino, ends):
    name = f"ends_{len(ends)}"
    assert post(door, lines(name, "a,b", "int,str", "1,x", "2,y z ", ends=ends)) is None
    assert stored(qasino, name) == (["a", "b"], [(1, "x"), (2, "y z ")])


def test_the_last_line_needs_no_end(door, qasino):
    assert post(door, lines("no_end", "a,b", "int,str", "1,x").removesuffix("\n")) is None
    assert stored(qasino, "no_end") == (["a", "b"], [(1, "x")])


def test_quoting(door, qasino):
    assert post(door, lines("quoting", "a,b,c", "str,str,str", '"x, y","say ""hi""", blanks ',
                            '"two\nlines",,"é€"')) is None
    assert stored(qasino, "quoting")[1] == [
        ("x, y", 'say "hi"', " blanks "), ("two\nlines", "", "é€")]


def test_types_are_read_in_any_case_with_blanks_around(door, qasino):
    types = "str,string,ip,varchar,float,int,integer,ll,time,text,REAL, Int ,DOUBLE"
    names = [f"c{n}" for n in range(types.count(",") + 1)]
    assert post(door, lines("csv_types", ",".join(names), types,
                            ",".join(["x"] * 4 + ["1.5", "1", "2", "3", "4", "y", "2", "5", "6"]))
                ) is None
    assert stored(qasino, "csv_types")[1] == [
        ("x", "x", "x", "x", 1.5, 1, 2, 3, 4, "y", 2.0, 5, 6.0)]


def test_an_empty_cell_is_null_but_in_a_text(door, qasino):
    assert post(door, lines("csv_empty", "a,b,c", "int,float,str", ",,")) is None
    assert stored(qasino, "csv_empty")[1] == [(None, None, "")]


def test_a_table_without_rows(door, qasino):
    assert post(door, lines("csv_none", "a,b", "int,str")) is None
    assert qasino.client.query_until("DESC csv_none").rows == [("a", "INTEGER"), ("b", "TEXT")]


def test_options_that_are_off(door, qasino):
    assert post(door, lines("csv_off", "a", "int", "1",
                            options="1,identity=h1,static=no,update=false,persist=0")) is None
    answer = qasino.client.query_until("SELECT * FROM csv_off")
    qasino.client.wait_for_generation(answer.generation + 2)
    assert qasino.client.try_query("SELECT * FROM csv_off") is None


def test_updates(door, qasino):
    options = "1,identity=h1,persist=1,update=1,keycols=k"
    assert post(door, lines("csv_updated", "k,a,b", "int,str,str", "1,a1,b1", "2,a2,b2",
                            options=options)) is None
    assert post(door, lines("csv_updated", "k,a", "int,str", "2,new", "3,a3",
                            options=options)) is None
    answer = qasino.client.query_until("SELECT * FROM csv_updated ORDER BY k",
                                       lambda answer: len(answer.rows) == 3)
    assert answer.rows == [(1, "a1", "b1"), (2, "new", "b2"), (3, "a3", None)]


def test_a_static_table(door, qasino):
    for number in (1, 2):
        assert post(door, lines("csv_static", "a", "int", str(number),
                                options="1,identity=h1,static=1")) is None
        qasino.client.query_until("SELECT a FROM csv_static",
                                  lambda answer, n=number: answer.rows == [(n,)])


ERRORS = {
    "an unknown type": (lines("bad", "a,b", "int,number", "1,2"),
                        "Unsupported type in type list ''number'' or parse error"),
    "too few cells": (lines("bad", "a,b", "int,int", "1,2", "3"),
                      "Wrong number of rows on line 7: '3'"),
    "a blank line": (lines("bad", "a,b", "int,int", "1,2", "", "3,4"),
                     "Wrong number of rows on line 7: ''"),
    "too many cells": (lines("bad", "a,b", "int,int", "1,2,3"),
                       "Could not find type for column 3 on line 6!"),
    "an integer that is none": (
        lines("bad", "a,b", "int,int", "1,2", "3,x"),
        "Parse error on line 7: invalid literal for int() with base 10: 'x'"),
    "a real in an integer": (
        lines("bad", "a", "int", "1.5"),
        "Parse error on line 6: invalid literal for int() with base 10: '1.5'"),
    "a real that is none": (lines("bad", "a", "float", "1.5", "x y"),
                            "Parse error on line 7: could not convert string to float: x y"),
    "an integer beyond 64 bits": (lines("bad", "a", "int", "9223372036854775808"), None),
    "fewer types than names": (lines("bad", "a,b", "int", "1,2"), None),
    "more types than names": (lines("bad", "a", "int,int", "1"), None),
    "a column's name": (lines("bad", "a,b c", "int,int", "1,2"), None),
    "a column twice": (lines("bad", "a,A", "int,int", "1,2"), None),
    "a table's name": (lines("no name", "a", "int", "1"), None),
    "an empty table's name": (lines("", "a", "int", "1"), None),
    "a name of the server": (lines("qasino_server_info", "a", "int", "1"), None),
    "no identity": (lines("bad", "a", "int", "1", options="1"), None),
    "static and persist": (lines("bad", "a", "int", "1",
                                 options="1,identity=h,static=1,persist=1"), None),
    "a key that is no column": (lines("bad", "a", "int", "1",
                                      options="1,identity=h,update=1,keycols=b"), None),
    "nothing": ("", None),
    "options alone": ("1,identity=h1\n", None),
    "no types": ("1,identity=h1\nbad\na,b\n", None),
    "no descriptions": ("1,identity=h1\nbad\na,b\nint,int\n", "anything"),
    "an open quote": (lines("bad", "a", "str", '"x'), None),
    "a version that is none": (lines("bad", "a", "int", "1", options="x,identity=h1"), "anything"),
    "bytes that are no UTF-8": (lines("bad", "a", "str", "x").encode() + b"\xff\xfe\n", None),
    "a zero byte": (lines("bad", "a", "int", "1\0"), None),
    "JSON": ('{"op":"add_table_data"}', None),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(door, qasino, case):
    text, words = ERRORS[case]
    message = post(door, text)
    if words == "anything":
        return
    assert message
    if words is not None:
        assert message.removeprefix("Invalid input format: ") == words
    assert qasino.client.try_query("SELECT * FROM bad") is None
