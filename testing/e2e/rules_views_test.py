"""The rules of behaviour, Views. The sentence, and the tests that show its parts:

"A YAML list of `viewname` and `view` (a CREATE VIEW statement),"
    test_views_are_a_yaml_list_of_viewname_and_view
    test_views_may_use_tables_internal_tables_and_each_other
"watched and reloaded within a second of a change;"
    test_views_are_reloaded_when_the_file_changes_without_a_new_generation
    test_views_a_file_may_come_and_go_and_come_again
    (Within what time is printed and decides nothing here; the file is looked at every 250 ms, as
    services/query/view_file.h has it.)
"each view's state and error is in `qasino_server_views`;"
    test_views_each_views_state_and_error_is_in_qasino_server_views
    test_views_desc_view_shows_a_views_statement
"a bad view hurts no other."
    test_views_a_bad_view_hurts_no_other
    test_views_a_file_that_is_no_list_keeps_the_views_that_were
"""

import os
import time

import pytest

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER, TEXT

FLAGS = {"store": {"--retain": 100}, "query": {"--views-file": "{directory}/views.yaml"}}

STATE = "SELECT viewname, loaded, errormsg FROM qasino_server_views ORDER BY viewname"


class ViewsFile:
    """The file that the query process watches."""

    def __init__(self, qasino):
        self.client = qasino.client
        self.path = os.path.join(qasino.directory, "views.yaml")

    def write_text(self, text):
        """As editors do: another file takes its place."""
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.path + ".new", self.path)

    def write(self, views):
        """views: {viewname: statement}. Waits until they are applied."""
        self.write_text("".join(f"- viewname: {name}\n  view: |\n    {statement}\n"
                                for name, statement in views.items()))
        self.wait_for(views)

    def wait_for(self, names):
        self.client.query_until(STATE, lambda answer: sorted(answer.column("viewname")) == sorted(
            names))

    def state(self):
        """{viewname: (loaded, errormsg)} of the newest snapshot."""
        return {name: (loaded, error) for name, loaded, error in self.client.query(STATE).rows}


@pytest.fixture(name="views")
def views_fixture(qasino, machines):  # pylint: disable=unused-argument
    file = ViewsFile(qasino)
    file.write({})
    return file


@pytest.fixture(name="machines", scope="module")
def machines_fixture(qasino):
    """A table that is in every snapshot."""
    machines = tables.table("machines", {"name": (TEXT, ["a", "b", "c"]),
                                         "load": (INTEGER, [5, 15, 25])})
    with qasino.client.keeps_publishing([(0, "h1", machines)]):
        qasino.client.query_until("SELECT * FROM machines")
        yield


def rows(client, sql):
    """Of a snapshot that has the machines; a busy publisher may miss a generation."""
    return client.query_until(sql, lambda answer: True).rows


def test_views_are_a_yaml_list_of_viewname_and_view(views):
    views.write_text('''# A comment.
- viewname: busy
  view: "CREATE VIEW busy AS SELECT name FROM machines WHERE load > 10;"
- {viewname: Idle, view: create view idle(who) as select name from machines where load < 10}
- view: |
    CREATE VIEW counted AS
      SELECT count(*) AS n
      FROM machines
  viewname: counted
  description: other keys are ignored
''')
    views.wait_for(["busy", "Idle", "counted"])
    assert rows(views.client, "SELECT name FROM busy ORDER BY name") == [("b",), ("c",)]
    assert rows(views.client, "SELECT who FROM idle") == [("a",)]
    assert rows(views.client, "SELECT n FROM COUNTED") == [(3,)]
    shown = views.client.query("SHOW VIEWS")
    assert shown.columns == ["viewname", "loaded", "errormsg"]
    assert sorted(shown.column("viewname")) == ["Idle", "busy", "counted"]


def test_views_may_use_tables_internal_tables_and_each_other(views):
    views.write({"outer_one": "CREATE VIEW outer_one AS SELECT n + 1 AS n FROM inner_one",
                 "inner_one": "CREATE VIEW inner_one AS SELECT count(*) AS n FROM machines",
                 "internal": "CREATE VIEW internal AS SELECT generation_number AS g "
                             "FROM qasino_server_info"})
    assert rows(views.client, "SELECT n FROM outer_one") == [(4,)]
    answer = views.client.query("SELECT g FROM internal")
    assert answer.rows == [(answer.generation,)]


def test_views_are_in_retained_generations_and_the_running_one(views):
    generation = views.client.publish("h2", tables.table("once", {"n": (INTEGER, [7])})).generation
    views.write({"of_once": "CREATE VIEW of_once AS SELECT n FROM once"})
    assert views.client.answer_of(generation, "SELECT n FROM of_once").rows == [(7,)]

    def running():
        views.client.publish("h2", tables.table("once", {"n": (INTEGER, [8])}))
        answer = views.client.try_query("SELECT n FROM of_once", running=True)
        return answer and answer.rows

    assert system.wait_for(running, "the view on the running generation") == [(8,)]


def test_views_are_reloaded_when_the_file_changes_without_a_new_generation(start):
    # No generation ends while this runs.
    qasino = start({"ingest": {"--generation-duration": "24h"},
                    "query": {"--views-file": "{directory}/views.yaml"}}, collecting=False)
    views = ViewsFile(qasino)
    # It is said when there is no such file.
    ((name, (loaded, error)),) = views.state().items()
    assert (name, loaded) == ("views.yaml", 0) and "No such file" in error
    for number in range(3):
        name = f"v{number}"
        views.write({name: f"CREATE VIEW {name} AS SELECT {number} AS n"})
        answer = qasino.client.query(f"SELECT n FROM {name}")
        assert (answer.rows, answer.generation) == ([(number,)], 0)
        # In place, of the same length, as `sed -i` or an editor may write it.
        with open(views.path, "r+", encoding="utf-8") as file:
            text = file.read().replace(f"SELECT {number}", f"SELECT {number + 5}")
            file.seek(0)
            file.write(text)
        written = time.monotonic()
        qasino.client.query_until(
            f"SELECT n FROM {name}", lambda answer: answer.rows == [(number + 5,)])  # pylint: disable=cell-var-from-loop
        print(f"seen {time.monotonic() - written:.3f} s after the change")


def test_views_a_file_may_come_and_go_and_come_again(views):
    views.write({"coming": "CREATE VIEW coming AS SELECT 1 AS n"})
    os.remove(views.path)
    # The views stay, and it is said why.
    views.wait_for(["coming", "views.yaml"])
    assert "No such file" in views.state()["views.yaml"][1]
    assert views.client.query("SELECT n FROM coming").rows == [(1,)]
    views.write({"again": "CREATE VIEW again AS SELECT 2 AS n"})
    assert views.client.query("SELECT n FROM again").rows == [(2,)]


def test_views_each_views_state_and_error_is_in_qasino_server_views(views):
    views.write({"good": "CREATE VIEW good AS SELECT name FROM machines",
                 "no_table": "CREATE VIEW no_table AS SELECT * FROM nowhere",
                 "no_column": "CREATE VIEW no_column AS SELECT nothing FROM machines",
                 "no_sql": "CREATE VIEW no_sql AS SELEC 1",
                 "other_name": "CREATE VIEW another_name AS SELECT 1",
                 "machines": "CREATE VIEW machines AS SELECT 1"})
    answer = views.client.query_until(STATE, lambda answer: ("good", 1) in [
        row[:2] for row in answer.rows])
    state = {name: (loaded, error) for name, loaded, error in answer.rows}
    assert state["good"][0] == 1 and not state["good"][1]
    for name, word in (("no_table", "no such table: "), ("no_column", "nothing"),
                       ("no_sql", "SELEC"), ("other_name", "another_name"),
                       ("machines", "machines")):
        assert state[name][0] == 0, name
        assert word in state[name][1], state[name]
    statement = views.client.query("SELECT view FROM qasino_server_views WHERE viewname = 'good'")
    assert "SELECT name FROM machines" in statement.rows[0][0]


def test_views_the_state_is_of_the_snapshot_that_answers(views):
    views.write({"sometimes": "CREATE VIEW sometimes AS SELECT n FROM now_and_then"})
    generation = views.client.publish(
        "h2", tables.table("now_and_then", {"n": (INTEGER, [1])})).generation
    answer = views.client.answer_of(generation, STATE)
    assert answer.rows[0][:2] == ("sometimes", 1)
    answer = views.client.answer_of(generation + 1, STATE)
    assert answer.rows[0][:2] == ("sometimes", 0)
    assert "no such table: " in answer.rows[0][2]


def test_views_desc_view_shows_a_views_statement(views):
    views.write({"shown": "CREATE VIEW shown AS SELECT name FROM machines"})
    answer = views.client.query("DESC VIEW Shown")
    assert answer.columns == ["view"]
    assert "SELECT name FROM machines" in answer.rows[0][0]
    code, message = system.code_and_message(lambda: views.client.query("DESC VIEW nowhere"))
    assert code in ("INVALID_ARGUMENT", "NOT_FOUND")
    assert "nowhere" in message


BAD_VIEWS = {
    "writes": "CREATE VIEW writes AS DELETE FROM machines",
    "is_a_table": "CREATE TABLE is_a_table (a)",
    "two": "CREATE VIEW two AS SELECT 1; DROP TABLE machines",
    "attaches": "ATTACH ':memory:' AS x",
    "round_a": "CREATE VIEW round_a AS SELECT * FROM round_b",
    "round_b": "CREATE VIEW round_b AS SELECT * FROM round_a",
    "itself": "CREATE VIEW itself AS SELECT * FROM itself",
    "wide": "CREATE VIEW wide AS SELECT " + ", ".join(["1"] * 5000),
    "deep": "CREATE VIEW deep AS SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "qasino_server_info": "CREATE VIEW qasino_server_info AS SELECT 1",
    "not_a_statement": "just words",
    "nothing": "''",
}


def test_views_a_bad_view_hurts_no_other(views):
    views.write({"first": "CREATE VIEW first AS SELECT 1 AS n", **BAD_VIEWS,
                 "last": "CREATE VIEW last AS SELECT n FROM first"})
    assert rows(views.client, "SELECT n FROM last") == [(1,)]
    state = views.state()
    for name in BAD_VIEWS:
        assert state[name][0] == 0 and state[name][1], name
    assert rows(views.client, "SELECT count(*) FROM machines") == [(3,)]
    assert views.client.query("SELECT generation_number FROM qasino_server_info").rows
    for name in ("itself", "round_a", "writes"):
        code, _ = system.code_and_message(lambda: views.client.query(f"SELECT * FROM {name}"))  # pylint: disable=cell-var-from-loop
        assert code == "INVALID_ARGUMENT"


def test_views_entries_that_are_wrong_hurt_no_other(views):
    views.write_text("""
- viewname: fine
  view: CREATE VIEW fine AS SELECT 1 AS n
- just a word
- view: CREATE VIEW nameless AS SELECT 1
- viewname: lacks_its_view
- viewname: [a, b]
  view: CREATE VIEW a AS SELECT 1
- viewname: fine
  view: CREATE VIEW fine AS SELECT 2 AS n
- 
- viewname: fine_too
  view: CREATE VIEW fine_too AS SELECT 3 AS n
""")
    answer = views.client.query_until("SELECT n FROM fine_too")
    assert answer.rows == [(3,)]
    answer = views.client.query(STATE)
    assert len(answer.rows) == 8
    loaded = [name for name, good, _ in answer.rows if good]
    assert sorted(loaded) == ["fine", "fine_too"]
    assert all(error for _, good, error in answer.rows if not good)
    assert views.client.query("SELECT n FROM fine").rows in ([(1,)], [(2,)])


@pytest.mark.parametrize("text", [
    "viewname: x\nview: y\n", "just words", "- a\n b: [", "\t- x", "[" * 2000,
    "- viewname: v\n  view: CREATE VIEW v AS SELECT 1\n" * 1001, "#" + "x" * (1 << 20)])
def test_views_a_file_that_is_no_list_keeps_the_views_that_were(views, text):
    views.write({"before": "CREATE VIEW before AS SELECT 1 AS n"})
    views.write_text(text)
    # It has been looked at when the next change is there.
    answer = views.client.query_until(STATE, lambda answer: len(answer.rows) > 1)
    assert ("before", 1) in [row[:2] for row in answer.rows]
    assert views.client.query("SELECT n FROM before").rows == [(1,)]
    views.write({"after": "CREATE VIEW after AS SELECT 2 AS n"})
    assert views.client.query("SELECT n FROM after").rows == [(2,)]
