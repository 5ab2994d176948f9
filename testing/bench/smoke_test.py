"""The bench works: every figure is measured, with tiny counts, on real processes."""

import json

from testing.bench import bench


def test_measures_every_figure(tmp_path, capsys):
    samples = tmp_path / "samples.json"
    code = bench.main(["--size", "tiny", "--binaries", ".", "--json", str(samples)])
    printed = capsys.readouterr()
    assert code == 0, printed.out + printed.err

    figures = json.loads(samples.read_text(encoding="utf-8"))["figures"]
    assert set(figures) == {
        "publish_stream_rows", "publish_stream_small", "publish_unary_small", "select_1",
        "large_result", "large_result_by_row", "aggregate", "freshness_processes",
        "freshness_standalone", "memory_processes", "memory_standalone", "tables", "identities"}
    for name, figure in figures.items():
        for value in figure.get("ratio", figure.get("seen_ms", [])):
            assert value > 0, name
    table = [line for line in printed.out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 9 + 8


def test_says_what_could_not_be_measured(tmp_path, capsys):
    code = bench.main(["--size", "tiny", "--binaries", str(tmp_path), "--figures", "publishing"])
    assert code == 1
    assert "could not be measured: publishing: sqlite_limits" in capsys.readouterr().out


def test_counts_have_three_digits():
    assert [bench._count(value) for value in (0.5, 1.234, 78.91, 789, 45_600, 1_230_000)] == [
        "0.50", "1.23", "78.9", "789", "45.6 k", "1.23 M"]
