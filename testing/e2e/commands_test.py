"""qasinosql and qasino-publish: what they do, and their exit codes."""

import json

import pytest

from testing.e2e import system


def sql(qasino, *arguments, **options):
    return system.run_program(system.SQL_CLIENT, "-H", "127.0.0.1", "-p",
                              qasino.query.port("query"), *arguments, **options)


def publish(qasino, *arguments, **options):
    return system.run_program(system.PUBLISH_CLIENT, "-H", "127.0.0.1", "-p",
                              qasino.ingests[0].port("ingest"), *arguments, **options)


CSV = '''1
{name}
host,load,cores
str,float,int
,,
h1,0.5,4
"h,""2""",1.5,8
'''


@pytest.fixture(name="free_port")
def free_port_fixture(bare_system):
    """A port on which nothing listens."""
    store = system.start_store(bare_system)
    store.terminate()
    return store.port("store")


def test_a_csv_table_from_a_file_is_published_and_answered(standalone, tmp_path):
    file = tmp_path / "table.csv"
    file.write_text(CSV.format(name="from_file"), encoding="utf-8")
    ended = publish(standalone, "-d", "csv", "-f", file, "--identity", "tester")
    assert (ended.code, ended.err) == (0, "")
    answer = standalone.client.query_until("SELECT * FROM from_file ORDER BY cores")
    assert answer.columns == ["host", "load", "cores"]
    assert answer.rows == [("h1", 0.5, 4), ('h,"2"', 1.5, 8)]


def test_a_csv_table_from_standard_input_is_published(standalone):
    ended = publish(standalone, "-d", "csv", "--identity", "tester",
                    stdin=CSV.format(name="from_stdin"))
    assert (ended.code, ended.err) == (0, "")
    answer = standalone.client.query_until("SELECT sum(cores) FROM from_stdin")
    assert answer.rows == [(12,)]


def test_a_json_table_is_published(standalone):
    table = {"tablename": "from_json", "column_names": ["a", "b"],
             "column_types": ["int", "string"], "rows": [[1, "x"], [None, "\u20ac"]]}
    ended = publish(standalone, "-d", "json", "--identity", "tester", stdin=json.dumps(table))
    assert (ended.code, ended.err) == (0, "")
    answer = standalone.client.query_until("SELECT * FROM from_json ORDER BY b")
    assert answer.rows == [(1, "x"), (None, "\u20ac")]


def test_a_static_table_is_published_and_dropped(standalone):
    store = f"127.0.0.1:{standalone.store.port('store')}"
    ended = publish(standalone, "--static", "--identity", "tester", stdin=CSV.format(name="fixed"))
    assert (ended.code, ended.err) == (0, "")
    standalone.client.query_until("SELECT * FROM fixed")
    ended = publish(standalone, "--drop-static", "fixed", "--store", store)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("dropped static table fixed: it is not in revision ")
    standalone.client.query_until("SELECT tablename FROM qasino_server_tables",
                                  lambda answer: ("fixed",) not in answer.rows)
    ended = publish(standalone, "--drop-static", "fixed", "--store", store)
    assert ended.code == 3
    assert "NOT_FOUND" in ended.err and "'fixed'" in ended.err


def test_a_persistent_table_is_published_updated_and_dropped(standalone):
    store = f"127.0.0.1:{standalone.store.port('store')}"
    who = ["--identity", "tester"]
    ended = publish(standalone, "--persist", *who, stdin=CSV.format(name="carried"))
    assert (ended.code, ended.err) == (0, "")
    ended = publish(standalone, "--persist", "--update", "--keycols", "host", *who,
                    stdin="1\ncarried\nhost,cores\nstr,int\n,\nh1,64\n")
    assert (ended.code, ended.err) == (0, "")
    sql_text = "SELECT load, cores FROM carried WHERE host = 'h1'"
    answer = standalone.client.query_until(sql_text, lambda answer: answer.rows == [(0.5, 64)])
    standalone.client.query_until(sql_text, lambda later: later.generation > answer.generation
                                  and later.rows == [(0.5, 64)])
    ended = publish(standalone, "--drop-persistent", "carried", *who, "--store", store)
    assert (ended.code, ended.err) == (0, "")
    standalone.client.query_until("SELECT tablename FROM qasino_server_tables",
                                  lambda answer: ("carried",) not in answer.rows)
    ended = publish(standalone, "--drop-persistent", "carried", *who, "--store", store)
    assert ended.code == 3
    assert "NOT_FOUND" in ended.err and "'carried'" in ended.err


def test_other_snapshots_than_the_newest_can_be_asked(standalone):
    ended = publish(standalone, "--identity", "tester", stdin=CSV.format(name="at_a_time"))
    generation = int(ended.out.split("generation ")[1].split()[0])
    standalone.client.wait_for_generation(generation + 1)
    ended = sql(standalone, "--generation", generation, "-q", "SELECT sum(cores) FROM at_a_time")
    assert ended.code == 0, ended.err
    assert "12" in ended.out and f"snapshot: generation {generation} " in ended.out
    ended = sql(standalone, "--generation", 30, "-q", "SELECT 1")
    assert ended.code == 3
    assert "oldest" in ended.err

    def running():
        publish(standalone, "--identity", "tester", stdin=CSV.format(name="just_now"))
        ended = sql(standalone, "--running", "-q", "SELECT sum(cores) FROM just_now")
        return ended if ended.code == 0 else None

    ended = system.wait_for(running, "an answer of the running generation")
    assert "12" in ended.out and "running: generation " in ended.out


@pytest.mark.parametrize("format_, text, words", [
    ("csv", "", []),
    ("csv", "1\nt\na,b\nint,int\n,\n1\n", ["6"]),
    ("csv", "1\nt\na,b\nint,int\n,\n1,2,3\n", ["6"]),
    ("csv", "1\nt\na\nint\n\nx\n", ["6", "x"]),
    ("csv", "1\nt\na\nwhat\n\n1\n", ["what"]),
    ("csv", "1\na b\na\nint\n\n1\n", ["a b"]),
    ("json", "", []),
    ("json", "[1", []),
    ("json", "{}", ["tablename"]),
    ("json", '{"tablename":"t","column_names":["a"],"column_types":["int"],"rows":[[1,2]]}', []),
    ("json", "[" * 100000, []),
])
def test_a_table_that_is_wrong_is_refused_with_where_and_why(standalone, format_, text, words):
    ended = publish(standalone, "-d", format_, "--identity", "tester", stdin=text)
    assert ended.code in (1, 3), ended.err
    assert ended.err.strip()
    for word in words:
        assert word in ended.err


def test_a_file_that_is_missing_is_named(standalone):
    ended = publish(standalone, "-d", "csv", "-f", "/nonexistent/table.csv", "--identity", "x")
    assert ended.code == 1
    assert "/nonexistent/table.csv" in ended.err


def test_publishing_to_nobody_is_exit_code_2(free_port):
    ended = system.run_program(system.PUBLISH_CLIENT, "-H", "127.0.0.1", "-p", free_port, "-d",
                               "csv", "--identity", "x", stdin=CSV.format(name="t"))
    assert ended.code == 2
    assert str(free_port) in ended.err


def test_an_answer_is_printed_and_the_exit_code_is_0(standalone):
    ended = sql(standalone, "-q", "SELECT 'forty' || '-two' AS answer, NULL AS absent")
    assert (ended.code, ended.err) == (0, "")
    assert "answer" in ended.out and "forty-two" in ended.out


def test_several_statements_are_run_in_order(standalone):
    ended = sql(standalone, "-q", "SELECT 'fir' || 'st'", "-q", "SELECT 'sec' || 'ond'")
    assert ended.code == 0
    assert ended.out.index("first") < ended.out.index("second")


def test_statements_are_read_from_standard_input(standalone):
    ended = sql(standalone, stdin="SELECT 'on'\n || 'ce';\nSELECT 'twi' || 'ce';\n")
    assert ended.code == 0, ended.err
    assert ended.out.index("once") < ended.out.index("twice")


def test_a_failed_statement_is_exit_code_3_with_the_servers_words(standalone):
    ended = sql(standalone, "-q", "SELECT * FROM nowhere")
    assert ended.code == 3
    assert "no such table: nowhere" in ended.err


def test_querying_nobody_is_exit_code_2(free_port):
    ended = system.run_program(system.SQL_CLIENT, "-H", "127.0.0.1", "-p", free_port, "-q",
                               "SELECT 1")
    assert ended.code == 2
    assert str(free_port) in ended.err


@pytest.mark.parametrize("program", [system.SQL_CLIENT, system.PUBLISH_CLIENT])
def test_a_wrong_command_line_is_exit_code_1(program):
    ended = system.run_program(program, "--no-such-flag")
    assert ended.code == 1
    assert "no-such-flag" in ended.err


@pytest.mark.parametrize("program", [system.SQL_CLIENT, system.PUBLISH_CLIENT])
def test_help_and_version(program):
    assert system.run_program(program, "--help").code == 0
    assert system.run_program(program, "--version").code == 0


def test_terminal_control_in_a_cell_does_not_reach_the_terminal_raw(standalone):
    ended = sql(standalone, "-q", "SELECT char(27) || '[2J' AS a")
    assert ended.code == 0
    assert "\x1b" not in ended.out
