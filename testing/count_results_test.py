import pytest

from testing import count_results

TWO_PASSED = '<testsuites><testsuite><testcase name="a"/><testcase name="b"/></testsuite></testsuites>'
ONE_OF_EACH = """<testsuites><testsuite>
  <testcase classname="T" name="good" status="run"/>
  <testcase classname="T" name="bad"><failure message="x"/></testcase>
  <testcase classname="T" name="broken"><error message="x"/></testcase>
  <testcase classname="T" name="left_out"><skipped/></testcase>
  <testcase classname="T" name="DISABLED_x" status="notrun"/>
</testsuite></testsuites>"""


def configured(label, kind="cc_test rule"):
    return {"id": {"targetConfigured": {"label": label}}, "configured": {"targetKind": kind}}


def completed(label, success=True):
    return {"id": {"targetCompleted": {"label": label}},
            "completed": {"success": True} if success else {}}


def ran(label, status, xml="", **about):
    outputs = [{"name": "test.log", "uri": "log"}]
    if xml:
        outputs.append({"name": "test.xml", "uri": xml})
    return {"id": {"testResult": {"label": label, **about}},
            "testResult": {"status": status, "testActionOutput": outputs}}


def count(*events, code=0):
    """In these tests a URI is the text itself."""
    results = count_results.count(events, code, read=lambda uri: uri)
    return results.passed, results.failed


def test_cases_are_counted_and_skipped_ones_are_not():
    assert count(configured("//a"), ran("//a", "PASSED", TWO_PASSED), completed("//a")) == (2, 0)
    assert count(configured("//a"), ran("//a", "FAILED", ONE_OF_EACH), completed("//a"),
                 code=3) == (1, 2)


def test_a_target_without_cases_counts_as_one():
    assert count(configured("//a"), ran("//a", "PASSED"), completed("//a")) == (1, 0)
    assert count(configured("//a"), ran("//a", "FAILED"), completed("//a"), code=3) == (0, 1)


@pytest.mark.parametrize("status", ["FAILED", "TIMEOUT", "REMOTE_FAILURE", "INCOMPLETE"])
def test_a_bad_end_without_a_failing_case_counts_as_failed(status):
    assert count(configured("//a"), ran("//a", status, TWO_PASSED), completed("//a"),
                 code=3) == (2, 1)


def test_a_result_from_the_cache_counts_like_any_other():
    event = ran("//a", "PASSED", TWO_PASSED)
    event["testResult"]["cachedLocally"] = True
    assert count(configured("//a"), event, completed("//a")) == (2, 0)


def test_the_last_attempt_counts_and_every_shard_does():
    assert count(configured("//a"), ran("//a", "FAILED", ONE_OF_EACH, attempt=1),
                 ran("//a", "PASSED", TWO_PASSED, attempt=2), completed("//a")) == (2, 0)
    assert count(configured("//a"), ran("//a", "PASSED", TWO_PASSED, shard=1),
                 ran("//a", "PASSED", TWO_PASSED, shard=2), completed("//a")) == (4, 0)


def test_a_target_that_does_not_build_counts_as_failed():
    assert count(configured("//a"), configured("//b"), ran("//a", "PASSED", TWO_PASSED),
                 completed("//a"), completed("//b", success=False), code=1) == (2, 1)
    assert count(configured("//lib", "cc_library rule"), completed("//lib", success=False),
                 code=1) == (0, 1)


def test_a_target_that_cannot_be_analyzed_counts_as_failed():
    aborted = {"id": {"targetCompleted": {"label": "//b"}}, "aborted": {"reason": "ANALYSIS_FAILURE"}}
    assert count(ran("//a", "PASSED", TWO_PASSED), aborted, code=1) == (2, 1)


def test_a_pattern_that_cannot_be_loaded_counts_as_failed():
    aborted = {"id": {"pattern": {"pattern": ["//nowhere/..."]}},
               "aborted": {"description": "no such package"}}
    assert count(aborted, code=1) == (0, 1)


def test_a_test_that_did_not_run_counts_as_failed():
    assert count(configured("//a"), configured("//b"), ran("//a", "PASSED", TWO_PASSED),
                 completed("//a"), completed("//b"), code=8) == (2, 1)


def test_a_test_left_out_by_a_filter_does_not_count():
    assert count(configured("//a"), configured("//b"), ran("//a", "PASSED", TWO_PASSED),
                 completed("//a")) == (2, 0)


def test_a_bazel_that_fails_without_saying_why_counts_as_failed():
    assert count(code=37) == (0, 1)
    assert count(code=0) == (0, 0)
    assert count(code=4) == (0, 0)  # No tests among the targets.


def test_an_unreadable_report_is_not_a_pass_of_a_failed_target():
    assert count(configured("//a"), ran("//a", "FAILED", "<cut off"), completed("//a"),
                 code=3) == (0, 1)


def test_a_cut_off_event_file_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / "events"
    path.write_text('{"id":{}}\n{"id":{"testRes', encoding="utf-8")
    assert count_results.read_events(path) == [{"id": {}}]
