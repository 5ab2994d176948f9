#!/usr/bin/python3
"""Counts what Bazel's tests came to, from the build event file of one Bazel command.

Prints `PASSED FAILED`, counts of test cases, and on standard error a line for each target
that failed. Nothing that failed is hidden: a target counts as one failed when it does not
build, did not run, or ended badly without a case that says so (a crash, a timeout).
"""

import json
import os
import sys
import urllib.parse
import xml.etree.ElementTree


class Results:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.failures = []  # one sentence each

    def fail(self, count, sentence):
        self.failed += count
        self.failures.append(sentence)


def count_cases(xml_text):
    """The numbers of cases of a JUnit-like file that passed and that failed; the names of
    the latter. A case that was skipped or disabled is neither."""
    passed, failed = 0, []
    for case in xml.etree.ElementTree.fromstring(xml_text).iter("testcase"):
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            continue
        else:
            passed += 1
    return passed, failed


def read_events(path):
    """The events of a build event file in JSON, one a line. A last line that Bazel did not
    finish is left out; without a file, because Bazel could not begin, there are none."""
    events = []
    if not os.path.exists(path):
        return events
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                events.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return events


def _add_test_result(results, label, result, read):
    passed, failed = 0, []
    for output in result.get("testActionOutput", []):
        if output["name"] != "test.xml":
            continue
        try:
            passed, failed = count_cases(read(output["uri"]))
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            results.fail(0, f"{label}: its test.xml cannot be read: {error}")
    status = result.get("status", "NO_STATUS")
    results.passed += passed
    if failed:
        results.fail(len(failed), f"{label}: failed: {', '.join(failed)}")
    elif status != "PASSED":
        results.fail(1, f"{label}: {status}")
    elif passed == 0:
        results.passed += 1


def count(events, bazel_code, read):
    """The results of one `bazel test` or `bazel build`.

    events: its build events. bazel_code: what it exited with. read: gives the text at a URI.
    """
    results = Results()
    tests = set()  # labels of test targets
    ran = {}  # (label, run, shard): the last attempt's result
    broken = {}  # label of a target that does not build: why
    for event in events:
        identity = event.get("id", {})
        if "targetConfigured" in identity:
            if "_test rule" in event.get("configured", {}).get("targetKind", ""):
                tests.add(identity["targetConfigured"]["label"])
        for kind in ("targetConfigured", "targetCompleted", "unconfiguredLabel", "configuredLabel"):
            if kind in identity and "aborted" in event:
                broken[identity[kind]["label"]] = event["aborted"].get("reason", "not built")
        if "targetCompleted" in identity and not event.get("completed", {}).get("success"):
            broken.setdefault(identity["targetCompleted"]["label"], "does not build")
        if "pattern" in identity and "aborted" in event:
            patterns = " ".join(identity["pattern"]["pattern"])
            broken[patterns] = event["aborted"].get("description", "cannot be loaded")
        if "testResult" in identity:
            about = identity["testResult"]
            ran[about["label"], about.get("run", 1), about.get("shard", 1)] = event["testResult"]

    for (label, _, _), result in sorted(ran.items()):
        _add_test_result(results, label, result, read)
    have_run = {label for label, _, _ in ran}
    if have_run:
        # Where tests ran, those that were to run and did not are failures.
        completed = {e["id"]["targetCompleted"]["label"] for e in events
                     if "targetCompleted" in e.get("id", {})}
        for label in sorted((tests & completed) - have_run - set(broken)):
            results.fail(1, f"{label}: did not run")
    for label, reason in sorted(broken.items()):
        if label not in have_run:
            results.fail(1, f"{label}: {reason}")
    if bazel_code not in (0, 4) and results.failed == 0:  # 4: there are no tests.
        results.fail(1, f"bazel exited with code {bazel_code}, see above")
    return results


def read_file_uri(uri):
    parsed = urllib.parse.urlparse(uri)
    if parsed.scheme != "file":
        raise OSError(f"{uri} is not a file")
    with open(urllib.parse.unquote(parsed.path), "rb") as file:
        return file.read()


def main():
    if len(sys.argv) != 3:
        print(f"Usage: {os.path.basename(sys.argv[0])} EVENT_FILE BAZEL_EXIT_CODE",
              file=sys.stderr)
        return 2
    results = count(read_events(sys.argv[1]), int(sys.argv[2]), read_file_uri)
    for failure in results.failures:
        print(f"  {failure}", file=sys.stderr)
    print(results.passed, results.failed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
