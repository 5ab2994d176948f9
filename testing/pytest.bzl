"""Tests written for pytest, run with Debian's python3-pytest."""

def pytest_test(name, src, data = [], deps = [], **kwargs):
    """One file of pytest tests as a Bazel test that reports its cases.

    Args:
      name: of the test.
      src: the file.
      data: what the tests read or run.
      deps: Python libraries.
      **kwargs: as py_test has them.
    """
    native.py_test(
        name = name,
        srcs = [
            src,
            "//testing:run_pytest.py",
        ],
        args = ["$(location %s)" % src],
        data = data,
        legacy_create_init = 0,
        main = "//testing:run_pytest.py",
        deps = deps,
        **kwargs
    )
