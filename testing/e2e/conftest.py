"""Fixtures: a running Qasino, and the programs' logs beside the report of a failed test."""

import contextlib
import os
import re

import pytest

from testing.e2e import doors, system


def _start(mode, directory, flags, **options):
    """flags: {"store": {"--flag": value}, ...}; `{directory}` in a value is the system's.
    With {"doors": {"http": {"--flag": value}, ...}} it has those doors too."""

    def given(values):
        return {name: str(value).format(directory=directory) for name, value in values.items()}

    options.update({f"{part}_flags": given(values) for part, values in flags.items()
                    if part != "doors"})
    if "doors" in flags:
        opened = {kind: given(values) for kind, values in flags["doors"].items()}
        return doors.start(mode, directory, opened, **options)
    return system.MODES[mode](directory, **options)


@pytest.fixture(scope="module", params=sorted(system.MODES))
def qasino(request, tmp_path_factory):
    """A Qasino in each mode, for the tests of a module that leave its processes alone. The
    module's FLAGS are as _start has them."""
    directory = str(tmp_path_factory.mktemp(request.param))
    flags = getattr(request.module, "FLAGS", {})
    with system.kept(_start(request.param, directory, flags)) as started:
        started.wait_for_all_ingests()
        yield started


@pytest.fixture(params=sorted(system.MODES))
def start(request, tmp_path):
    """A function that starts a Qasino of the test's own, with flags as _start has them and the
    options of system.MODES: once for each mode. With collecting=False it does not wait until the
    first generations have ended."""
    with contextlib.ExitStack() as stack:

        def start_one(flags=None, collecting=True, **options):
            directory = str(tmp_path / f"qasino-{len(os.listdir(tmp_path))}")
            os.mkdir(directory)
            started = stack.enter_context(
                system.kept(_start(request.param, directory, flags or {}, **options)))
            if collecting:
                started.wait_for_all_ingests()
            return started

        yield start_one


@pytest.fixture
def restartable(start):
    """A Qasino in each mode, of the test's own, whose programs may be killed and restarted."""
    return start(relayed=True)


@pytest.fixture(scope="module")
def standalone(tmp_path_factory):
    """A Qasino in one process, for the tests of a module that leave it alone."""
    directory = str(tmp_path_factory.mktemp("standalone"))
    with system.kept(system.start_standalone(directory)) as started:
        yield started


@pytest.fixture
def processes(tmp_path):
    """Two ingest processes, a store and a query process of the test's own, to be restarted."""
    with system.kept(system.start_processes(str(tmp_path), relayed=True)) as started:
        yield started


@pytest.fixture
def bare_system(tmp_path):
    """No program yet; the test adds what it wants."""
    with system.kept(system.System(str(tmp_path))) as started:
        yield started


def pytest_collection_modifyitems(items):
    """The head of a file of rules names tests; each of them is there."""
    for module in {item.module for item in items}:
        for name in re.findall(r"\b(test_\w+)\b(?!\.)", module.__doc__ or ""):
            if not hasattr(module, name):
                raise pytest.UsageError(f"{module.__name__} has no {name}, which its head names")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for started in system.running:
        for program in started.programs:
            lines = program.log().splitlines()[-100:]
            report.sections.append((f"log of {program.name} (its end)", "\n".join(lines)))
