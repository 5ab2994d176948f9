"""Fixtures: a running Qasino, and the programs' logs beside the report of a failed test."""

import pytest

from testing.e2e import system


@pytest.fixture(scope="module", params=sorted(system.MODES))
def qasino(request, tmp_path_factory):
    """A Qasino in each mode, for the tests of a module that leave its processes alone."""
    directory = str(tmp_path_factory.mktemp(request.param))
    with system.kept(system.MODES[request.param](directory)) as started:
        yield started


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
