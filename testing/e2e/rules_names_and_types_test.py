"""The rules of behaviour, Names and types. Each sentence, and the test that shows it:

"Table and column names match `[A-Za-z][A-Za-z0-9_]*`, at most 128 bytes, compared without case;"
    test_names_and_types_a_name_that_matches_is_taken
    test_names_and_types_a_name_that_does_not_match_is_refused_by_name
    test_names_and_types_names_are_compared_without_case
"`sqlite_...` and `qasino_server_...` are refused;"
    test_names_and_types_tables_of_sqlite_and_the_server_are_refused
"SQL keywords are fine as names (everything is quoted)."
    test_names_and_types_sql_keywords_are_fine_as_names
"Types, without case: integer int ll time bigint -> INTEGER; real float double -> REAL; text string
str ip varchar -> TEXT; blob -> BLOB."
    test_names_and_types_a_type_has_several_words_without_case
    test_names_and_types_every_kind_of_value_comes_back_as_it_went_in
"Anything else is refused by name."
    test_names_and_types_any_other_type_is_refused_by_name
    test_names_and_types_any_other_type_is_refused_by_its_number
"""

import json

import pytest
from qasino.v1 import table_pb2

from testing.e2e import system, tables
from testing.e2e.tables import BLOB, INTEGER, REAL, TEXT

FLAGS = {"store": {"--retain": 100}}

GOOD_NAMES = ["a", "Z", "a1", "a_", "snake_case_2", "CamelCase", "sqlite", "sqlitex_y",
              "qasino_servers", "qasino", "a" * 128, "x__y", "rowid", "oid"]

BAD_NAMES = ["", " ", "1", "1a", "_a", "a-b", "a b", " a", "a ", "a.b", "a\n", "a\0b", 'a"b', "a'b",
             "a`b", "[a]", "a;b", "\u00e4", "a\u00e9", "\uff41", "a" * 129, "*", "a%", "--a"]


def test_names_and_types_a_name_that_matches_is_taken(qasino):
    client = qasino.client
    generation, _ = client.in_one_generation(*[
        lambda name=name: client.publish("h1", tables.table(name, {name: (TEXT, [name])}))
        for name in GOOD_NAMES])
    assert set(GOOD_NAMES) <= client.table_names_of(generation)
    for name in GOOD_NAMES:
        answer = client.answer_of(generation, f'SELECT "{name}" FROM "{name}"')
        assert (answer.columns, answer.rows) == ([name], [(name,)])


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_names_and_types_a_name_that_does_not_match_is_refused_by_name(qasino, name):
    for table in (tables.table(name, {"a": (INTEGER, [1])}),
                  tables.table("a", {"a": (INTEGER, [1]), name: (INTEGER, [1])})):
        code, message = system.code_and_message(lambda: qasino.client.publish("h1", table))  # pylint: disable=cell-var-from-loop
        assert code == "INVALID_ARGUMENT"
        assert "is not a name" in message or "no name" in message, message
        if name.isascii() and name.isprintable() and len(name) < 100 and not set(name) & set("'\""):
            assert f"'{name}'" in message


def test_names_and_types_names_are_compared_without_case(qasino):
    client = qasino.client
    generation, responses = client.in_one_generation(
        lambda: client.publish("h1", tables.table("Disks", {"Used": (INTEGER, [1])})),
        lambda: client.publish("h1", tables.table("dISKS", {"used": (INTEGER, [2])})),
        lambda: client.publish("h2", tables.table("DISKS", {"USED": (INTEGER, [3])})))
    assert [response.duplicate for response in responses] == [False, True, False]
    answer = client.answer_of(generation, "SELECT uSeD FROM disks ORDER BY USED")
    assert answer.rows == [(1,), (3,)]
    code, message = system.code_and_message(lambda: client.publish("h1", table_pb2.Table(
        name="t", columns=[table_pb2.Column(name="a", type=INTEGER, integers=[1]),
                           table_pb2.Column(name="A", type=INTEGER, integers=[1])])))
    assert (code, "'A'" in message) == ("INVALID_ARGUMENT", True)


@pytest.mark.parametrize("name", ["sqlite_x", "SQLite_Master", "sqlite_", "qasino_server_x",
                                  "qasino_server_info", "QASINO_Server_Tables", "qasino_server_"])
def test_names_and_types_tables_of_sqlite_and_the_server_are_refused(qasino, name):
    code, message = system.code_and_message(
        lambda: qasino.client.publish("h1", tables.table(name, {"a": (INTEGER, [1])})))
    assert code == "INVALID_ARGUMENT"
    assert f"'{name}'" in message
    # As columns they do no harm.
    response = qasino.client.publish(f"column {name}", tables.table(
        "columns_of_the_server", {name: (INTEGER, [1])}))
    assert qasino.client.answer_of(
        response.generation, f'SELECT count(*) FROM columns_of_the_server WHERE "{name}" = 1'
    ).rows == [(1,)]


KEYWORDS = ["select", "FROM", "where", "table", "index", "group", "order", "by", "values", "null",
            "case", "create", "drop", "union", "default", "primary", "constraint", "references",
            "temp", "main", "transaction", "without", "generated", "returning", "window"]


def test_names_and_types_sql_keywords_are_fine_as_names(qasino):
    client = qasino.client
    generation, _ = client.in_one_generation(*[
        lambda word=word: client.publish("h1", tables.table(
            word, {each: (INTEGER, [number]) for number, each in enumerate(KEYWORDS)}))
        for word in KEYWORDS])
    for word in KEYWORDS:
        answer = client.answer_of(generation, f'SELECT "{word}" FROM "{word}"')
        assert answer.rows == [(KEYWORDS.index(word),)]
        answer = client.answer_of(generation, f'SELECT * FROM "{word}"')
        assert answer.columns == KEYWORDS


WORDS = {"INTEGER": ["integer", "int", "ll", "time", "bigint", "Integer", "INT", "LL", "TiMe"],
         "REAL": ["real", "float", "double", "REAL", "Float"],
         "TEXT": ["text", "string", "str", "ip", "varchar", "IP", "VarChar"],
         "BLOB": ["blob", "BLOB", "Blob"]}


def publish_json(qasino, name, words, rows):
    """Publishes by the program, since gRPC has numbers for the types."""
    return system.run_program(
        system.PUBLISH_CLIENT, "-p", qasino.ingests[0].port("ingest"), "-d", "json",
        "--identity", "h1", stdin=json.dumps({
            "tablename": name, "column_names": [f"c{n}" for n in range(len(words))],
            "column_types": words, "rows": rows}))


def test_names_and_types_a_type_has_several_words_without_case(qasino):
    words = [word for each in WORDS.values() for word in each]
    with_csv = system.run_program(
        system.PUBLISH_CLIENT, "-p", qasino.ingests[0].port("ingest"), "-d", "csv", "--identity",
        "h1", stdin="\n".join(["1", "words_csv", ",".join(f"c{n}" for n in range(len(words))),
                               ",".join(words), "", ""]))
    assert with_csv.code == 0, with_csv.err
    with_json = publish_json(qasino, "words_json", words, [])
    assert with_json.code == 0, with_json.err
    expected = [type_ for type_, each in WORDS.items() for _ in each]
    for name, ended in (("words_csv", with_csv), ("words_json", with_json)):
        generation = int(ended.out.split("generation ")[1].split()[0])
        answer = qasino.client.answer_of(generation, f"DESC {name}")
        assert [type_.upper() for type_ in answer.column("column_type")] == expected


@pytest.mark.parametrize("word", ["", "integers", "number", "int64", "bool", "date", "numeric",
                                  "int ", "null", "any"])
def test_names_and_types_any_other_type_is_refused_by_name(qasino, word):
    ended = publish_json(qasino, "wrong_word", ["int", word], [])
    assert ended.code == 1
    assert f"'{word}'" in ended.err


@pytest.mark.parametrize("number", [0, 5, 100, -1])
def test_names_and_types_any_other_type_is_refused_by_its_number(qasino, number):
    code, message = system.code_and_message(lambda: qasino.client.publish(
        "h1", table_pb2.Table(name="t", columns=[
            table_pb2.Column(name="a", type=number, integers=[1])])))
    assert code == "INVALID_ARGUMENT"
    assert "'a'" in message and "type" in message
    assert number == 0 or str(number) in message


def test_names_and_types_every_kind_of_value_comes_back_as_it_went_in(qasino):
    columns = {
        "i": (INTEGER, [0, -1, 2**63 - 1, -2**63, None, 5]),
        "r": (REAL, [0.5, -1e300, 5e-324, None, 2.0, 1 / 3]),
        "t": (TEXT, ["", "a'b\"c\n", "zero\0inside", "\u20ac\u00e9\U0001f600", None, "x" * 10000]),
        "b": (BLOB, [b"", b"\0\xff", None, b"x", b"'", bytes(range(256))]),
        "mixed": (INTEGER, [1, 2.5, "three", b"4", None, -6]),
    }
    response = qasino.client.publish("h1", tables.table("every_kind", columns))
    answer = qasino.client.answer_of(response.generation,
                                     "SELECT * FROM every_kind ORDER BY rowid")
    assert answer.columns == list(columns)
    assert answer.types == [INTEGER, REAL, TEXT, BLOB, INTEGER]
    for name, (_, cells) in columns.items():
        assert answer.column(name) == cells
