"""What an operator relies on: health, readiness, metrics, reflection, command lines."""

import json
import re
import signal

import grpc
import pytest

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER

SERVICES = {"ingest": "qasino.v1.Ingest", "store": "qasino.v1.SnapshotStore",
            "query": "qasino.v1.Query"}
BINARIES = {"ingest": system.INGEST, "store": system.STORE, "query": system.QUERY,
            "standalone": system.STANDALONE}


def programs_by_part(qasino):
    return {"ingest": qasino.ingests[0], "store": qasino.store, "query": qasino.query}


def test_every_port_is_printed_and_then_ready(qasino):
    for program in qasino.programs:
        lines = program.printed()
        assert lines[-1] == "ready"
        parts = [line for line in lines if line.startswith("listening: ")]
        assert all(re.fullmatch(r"listening: \w+ (grpc|http) 127\.0\.0\.1:\d+", line)
                   for line in parts)
        assert lines == parts + ["ready"]


@pytest.mark.parametrize("part", sorted(SERVICES))
def test_health_is_serving_for_the_service_and_as_a_whole(qasino, part):
    program = programs_by_part(qasino)[part]
    assert program.health(part, SERVICES[part]) == "SERVING"
    assert program.health(part) == "SERVING"


@pytest.mark.parametrize("part", sorted(SERVICES))
def test_reflection_names_the_service(qasino, part):
    # ServerReflectionRequest{list_services: ""}; the answer has the names as text.
    with grpc.insecure_channel(programs_by_part(qasino)[part].address(part)) as channel:
        reflect = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        (answer,) = reflect(iter([b"\x3a\x00"]), timeout=system.DEADLINE)
    assert SERVICES[part].encode() in answer


@pytest.mark.parametrize("part", sorted(SERVICES))
def test_livez_readyz_and_metrics_answer(qasino, part):
    program = programs_by_part(qasino)[part]
    assert program.http("/livez")[0] == 200
    assert program.http("/readyz")[0] == 200
    status, metrics = program.http("/metrics")
    assert status == 200
    assert "qasino_build_info" in metrics
    names = re.findall(r"^# TYPE (\S+) ", metrics, re.MULTILINE)
    assert names and all(name.startswith(("qasino_", "exposer_", "process_")) for name in names)
    assert program.http("/nothing")[0] == 404


def test_no_metric_has_a_label_that_a_table_or_an_identity_multiplies(qasino):
    qasino.client.publish_and_query(
        "a-telltale-identity", tables.table("a_telltale_table", {"a": (INTEGER, [1])}),
        "SELECT * FROM a_telltale_table")
    for program in qasino.programs:
        assert "telltale" not in program.http("/metrics")[1]


def test_what_was_received_and_refused_is_counted(qasino):
    def total(program):
        return sum(float(value) for value in re.findall(
            r"^qasino_\w+_total(?:\{[^}]*\})? (\S+)$", program.http("/metrics")[1], re.MULTILINE))

    ingest, query = qasino.ingests[0], qasino.query
    before = total(ingest)
    qasino.client.publish("h", tables.table("counted", {"a": (INTEGER, [1])}))
    system.wait_for(lambda: total(ingest) > before, "the ingest's counters grow")
    system.code_and_message(lambda: qasino.client.query("SELEC"))
    before = total(query)
    system.code_and_message(lambda: qasino.client.query("SELEC"))
    system.wait_for(lambda: total(query) > before, "the query's counters grow")


def test_query_is_not_serving_until_a_store_has_sent_a_snapshot(bare_system):
    store = system.start_store(bare_system, relayed=True).wait_ready()
    address = store.address("store")
    store.kill()
    query = system.start_query(bare_system, address)
    assert query.health("query", SERVICES["query"]) == "NOT_SERVING"
    assert query.http("/livez")[0] == 200
    status, why = query.http("/readyz")
    assert status == 503
    assert why.strip()
    client = system.Client([], query.address("query"))
    code, message = system.code_and_message(lambda: client.query("SELECT 1"))
    assert code == "UNAVAILABLE"
    assert message
    store.start()
    query.wait_ready()
    system.wait_for(lambda: query.health("query", SERVICES["query"]) == "SERVING", "SERVING")
    assert query.http("/readyz")[0] == 200
    assert client.query("SELECT 1").rows == [(1,)]
    client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process_well(tmp_path, number):
    for start in system.MODES.values():
        directory = tmp_path / start.__name__
        directory.mkdir()
        with system.kept(start(str(directory))) as qasino:
            for program in reversed(qasino.programs):
                program.signal(number)
                assert program.wait() == 0


@pytest.mark.parametrize("name", sorted(BINARIES))
def test_help_teaches_and_version_tells(name):
    ended = system.run_program(BINARIES[name], "--help")
    assert ended.code == 0
    for flag in ("--listen", "--metrics-port", "--shutdown-grace", "--log-format", "--config",
                 "--version"):
        assert flag in ended.out
    ended = system.run_program(BINARIES[name], "--version")
    assert ended.code == 0
    assert re.search(r"\d+\.\d+\.\d+", ended.out)


@pytest.mark.parametrize("name", sorted(BINARIES))
@pytest.mark.parametrize("arguments, word", [
    (["--no-such-flag"], "no-such-flag"),
    (["--metrics-port", "70000"], "metrics-port"),
    (["--metrics-port", "x"], "metrics-port"),
    (["--shutdown-grace", "soon"], "shutdown-grace"),
    (["--log-format", "xml"], "log-format"),
    (["--config", "/nonexistent/qasino.conf"], "/nonexistent/qasino.conf"),
    (["--tls-cert", "/nonexistent.pem"], "tls"),
])
def test_a_wrong_command_line_is_refused_with_a_sentence(name, arguments, word):
    ended = system.run_program(BINARIES[name], *arguments)
    assert ended.code == 1
    assert word in ended.err


@pytest.mark.parametrize("name", ["ingest", "standalone"])
@pytest.mark.parametrize("duration", ["0s", "500ms", "1500ms", "-1s", "x"])
def test_a_generation_duration_that_cannot_be_is_refused(name, duration):
    ended = system.run_program(BINARIES[name], f"--generation-duration={duration}",
                               "--metrics-port=off")
    assert ended.code == 1
    assert re.search("generation(-|'s )duration", ended.err)


@pytest.mark.parametrize("flag, variable, limit", [
    (None, None, 1), (None, "2", 2), (3, "2", 3)])
def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path, flag, variable, limit):
    config = tmp_path / "qasino.conf"
    config.write_text("max-rows=1\n", encoding="utf-8")
    flags = {"--config": str(config)}
    if flag:
        flags["--max-rows"] = flag
    environment = {"QASINO_MAX_ROWS": variable} if variable else {}
    with system.kept(system.start_standalone(
            str(tmp_path), query_flags=flags, environment=environment)) as qasino:
        rows = ", ".join(["(0)"] * limit)
        assert len(qasino.client.query(f"VALUES {rows}").rows) == limit
        code, _ = system.code_and_message(lambda: qasino.client.query(f"VALUES {rows}, (0)"))
        assert code == "RESOURCE_EXHAUSTED"


def test_a_port_that_is_taken_is_refused_with_a_sentence(standalone, tmp_path):
    port = standalone.store.port("store")
    ended = system.run_program(system.STORE, "--store-port", port, "--metrics-port", "off",
                               "--data-dir", str(tmp_path / "other"))
    assert ended.code not in (0, None)
    assert str(port) in ended.err


@pytest.mark.parametrize("part", ["ingest", "query", "store"])
def test_a_start_that_fails_half_way_ends_with_a_sentence(standalone, tmp_path, part):
    # The parts that were served before are ended in order, whatever they are doing.
    taken = standalone.store.port("store")
    ports = {"ingest": 0, "query": 0, "store": 0, part: taken}
    for _ in range(3):
        ended = system.run_program(
            system.STANDALONE, "--metrics-port", "off", "--data-dir", str(tmp_path / "other"),
            *(word for name, port in ports.items() for word in (f"--{name}-port", port)))
        assert ended.code == 1, ended.err
        assert f"{part}: cannot listen on 127.0.0.1:{taken}" in ended.err


def test_a_data_directory_that_cannot_be_is_refused_with_a_sentence(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder", encoding="utf-8")
    ended = system.run_program(system.STORE, "--store-port", 0, "--metrics-port", "off",
                               "--data-dir", str(file / "data"))
    assert ended.code not in (0, None)
    assert str(file) in ended.err


def test_json_logs_are_one_object_a_line(bare_system):
    store = system.start_store(bare_system, **{"--log-format": "json"}).wait_ready()
    assert store.terminate() == 0
    lines = store.log().splitlines()
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)
