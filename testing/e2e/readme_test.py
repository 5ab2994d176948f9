"""The commands in README.md do what it says, typed as they stand there."""

import os
import re
import subprocess

import pytest

from testing.e2e import doors, system, tables

MARK = re.compile(r"^<!-- test: (run|run until it succeeds|file (\S+)) -->\n```\w+\n(.*?)^```$",
                  re.MULTILINE | re.DOTALL)


def blocks():
    """The marked blocks: (what to do, file name or None, text)."""
    with open("README.md", encoding="utf-8") as file:
        return [(match.group(1), match.group(2), match.group(3))
                for match in MARK.finditer(file.read())]


@pytest.fixture(name="qasino", scope="module")
def qasino_fixture(tmp_path_factory):
    """Generations are long enough for all that the demo publishes to fall into one."""
    directory = str(tmp_path_factory.mktemp("qasino"))
    with system.kept(doors.start("standalone", directory, doors.ALL,
                                 ingest_flags={"--generation-duration": "5s"})) as started:
        yield started


def with_ports_of(qasino, text):
    """README's commands, with the ports of this test's server."""
    for usual, port in (("15601", qasino.ingests[0].port("ingest")),
                        ("15602", qasino.query.port("query")),
                        ("15597", qasino.door("http")), ("15598", qasino.door("zmq")),
                        ("15000", qasino.door("line"))):
        text = text.replace(usual, str(port))
    return text


@pytest.fixture(name="clone")
def clone_fixture(tmp_path, qasino):
    """A folder that looks like a clone after deploy/local/up, whose programs reach this test's
    server where README's reach the usual ports."""
    here = os.getcwd()
    ingest, query = qasino.ingests[0].port("ingest"), qasino.query.port("query")
    (tmp_path / "proto").symlink_to(os.path.join(here, "proto"))
    for name, target, flags in (
            ("bazel-bin/" + system.SQL_CLIENT, system.SQL_CLIENT, f"-p {query}"),
            ("bazel-bin/" + system.PUBLISH_CLIENT, system.PUBLISH_CLIENT, f"-p {ingest}"),
            ("deploy/local/demo", "deploy/local/demo",
             f"--ingest-port {ingest} --query-port {query} --clients '{here}/clients'")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\nexec '{here}/{target}' {flags} \"$@\"\n", encoding="utf-8")
        path.chmod(0o755)
    return tmp_path


def run(text, folder):
    return subprocess.run(["/bin/bash", "-euo", "pipefail", "-c", text], cwd=folder,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=system.DEADLINE, check=False)


def test_the_commands_of_the_readme_work(clone, qasino):
    steps = blocks()
    assert len(steps) >= 12
    rooms = tables.table("rooms", {"room": (tables.TEXT, ["hall"]), "celsius": (tables.REAL, [20.0])})
    # Its publishers come again in every generation; the commands are typed once.
    with qasino.client.keeps_publishing([(0, "house3", rooms)]):
        for what, name, text in steps:
            if name:
                text = with_ports_of(qasino, text)
                (clone / name).write_text(text, encoding="utf-8")
                continue
            text = with_ports_of(qasino, text)
            if what == "run until it succeeds":
                system.wait_for(lambda: run(text, clone).returncode == 0,  # pylint: disable=cell-var-from-loop
                                f"success of {text!r}")
                continue
            done = run(text, clone)
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def test_the_demo_prints_three_queries_with_rows(clone):
    done = run("deploy/local/demo --identity \"it's here\"", clone)
    assert done.returncode == 0, done.stderr
    for number in (1, 2, 3):
        assert f"\n{number}. " in done.stdout
    assert "no such table" not in done.stdout
    assert "published as it's here/" in done.stdout


def test_the_demo_says_so_when_nobody_answers():
    ended = system.run_program("deploy/local/demo", "--query-port", 1,
                               "--clients", os.path.join(os.getcwd(), "clients"))
    assert ended.code == 1
    assert "deploy/local/up" in ended.err
    assert "Traceback" not in ended.err


def test_the_demo_says_so_when_the_clients_are_not_built(tmp_path):
    ended = system.run_program("deploy/local/demo", "--clients", str(tmp_path / "nowhere"))
    assert ended.code == 1
    assert "deploy/local/up" in ended.err


@pytest.mark.parametrize("program", [system.INGEST, system.STORE, system.QUERY, system.STANDALONE,
                                     doors.HTTP, doors.ZMQ, doors.LINE])
def test_the_readme_names_every_flag_of_the_servers(program):
    with open("README.md", encoding="utf-8") as file:
        readme = file.read()
    flags = set(re.findall(r"^  (--[a-z-]+)", system.run_program(program, "--help").out,
                           re.MULTILINE))
    assert {"--listen", "--config"} <= flags
    assert {flag for flag in flags if f"`{flag}" not in readme} == set()
