"""Runs one file of pytest tests as Bazel wants it: `--test_filter` is pytest's -k, and
the cases are reported in the XML file that Bazel names."""

import os
import sys

import pytest


def main():
    arguments = ["-p", "no:cacheprovider", "--tb=short", "-ra", "-q", "--durations=3"]
    report = os.environ.get("XML_OUTPUT_FILE")
    if report:
        arguments += ["--junitxml", report, "-o", "junit_family=xunit1"]
    scratch = os.environ.get("TEST_TMPDIR")
    if scratch:
        arguments += ["--basetemp", os.path.join(scratch, "pytest")]
    only = os.environ.get("TESTBRIDGE_TEST_ONLY")
    if only:
        arguments += ["-k", only]
    return pytest.main(arguments + sys.argv[1:])


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
