"""The bench works: every figure is measured, with tiny counts, on real processes."""

import json

import pytest

from testing.bench import bench


def _runs_under_valgrind():
    """A program that AddressSanitizer was built into does not."""
    with open("testing/bench/hot_paths", "rb") as program:
        return b"__asan_init" not in program.read()


def test_measures_every_figure(tmp_path, capsys):
    samples = tmp_path / "samples.json"
    record = tmp_path / "instructions.json"
    wanted = [name for name in bench.Bench.FIGURES
              if name != "instructions" or _runs_under_valgrind()]
    code = bench.main(["--size", "tiny", "--binaries", ".", "--json", str(samples),
                       "--record", str(record), "--renew-instructions", "--figures", *wanted])
    printed = capsys.readouterr()
    assert code == 0, printed.out + printed.err

    figures = json.loads(samples.read_text(encoding="utf-8"))["figures"]
    counted = {name for name in figures if name.startswith("instructions_")}
    assert len(counted) == (3 if _runs_under_valgrind() else 0)
    assert set(figures) - counted == {
        "publish_stream_rows", "publish_stream_small", "publish_unary_small", "select_1",
        "select_n", "shard",
        "large_result", "large_result_by_row", "large_result_kept", "aggregate", "freshness_processes",
        "freshness_standalone", "memory_processes", "memory_standalone", "tables", "identities",
        *(f"http_{figure}_{mode}" for figure in ("publish_small", "publish_rows", "select_1", "result")
          for mode in ("standalone", "processes")),
        "idle_http", "idle_line", "idle_zmq"}
    for name, figure in figures.items():
        for value in figure.get("ratio", figure.get("seen_ms", [])):
            assert value > 0, name
    table = [line for line in printed.out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 12 + 8 + 11 + len(counted)


@pytest.mark.skipif(not _runs_under_valgrind(), reason="built with AddressSanitizer")
def test_compares_instructions_with_the_record(tmp_path, capsys):
    arguments = ["--size", "tiny", "--binaries", ".", "--figures", "instructions", "--record",
                 str(tmp_path / "instructions.json")]
    assert bench.main(arguments) == 1
    assert "instructions.json: No such file" in capsys.readouterr().out
    assert bench.main(arguments + ["--renew-instructions"]) == 0
    assert "No hot path takes over 5 % more" in capsys.readouterr().out

    record = json.loads((tmp_path / "instructions.json").read_text(encoding="utf-8"))
    counts = record["instructions"]
    before = dict(counts)
    counts["select_1"] = counts["select_1"] * 9 // 10
    record["compiler"] = "another"
    (tmp_path / "instructions.json").write_text(json.dumps(record), encoding="utf-8")
    samples = tmp_path / "samples.json"
    assert bench.main(arguments + ["--json", str(samples)]) == 0
    printed = capsys.readouterr().out
    assert "SLOWER: to answer `SELECT 1` takes 11 % more instructions" in printed
    assert printed.count("SLOWER") == 1
    assert "made with another compiler" in printed
    # The same work takes as many instructions.
    figures = json.loads(samples.read_text(encoding="utf-8"))["figures"]
    for name, count in before.items():
        again = figures[f"instructions_{name}"]["qasino"][0]
        assert abs(again / count - 1) < 0.01, (name, count, again)


def test_says_what_could_not_be_measured(tmp_path, capsys):
    code = bench.main(["--size", "tiny", "--binaries", str(tmp_path), "--figures", "publishing"])
    assert code == 1
    assert "could not be measured: publishing: sqlite_limits" in capsys.readouterr().out


def test_counts_have_three_digits():
    assert [bench._count(value) for value in (0.5, 1.234, 78.91, 789, 45_600, 1_230_000)] == [
        "0.50", "1.23", "78.9", "789", "45.6 k", "1.23 M"]
