"""The legacy doors of a system: HTTP, ZeroMQ and line, as adapters of their own or in the
standalone program.

A test asks for them by FLAGS (conftest.py):

    FLAGS = {"doors": {"http": {}, "zmq": {"--curve-secret-key": "..."}, "line": {}}}

and finds them as `qasino.door("http")`, which has their port. Answers bear the identity
IDENTITY in both modes.
"""

import os

from testing.e2e import system

HTTP = "adapters/http/qasino-http"
ZMQ = "adapters/zmq/qasino-zmq"
LINE = "adapters/line/qasino-line"

IDENTITY = "qasino"

# Which flags open the ports of each; "https" is a further one of the HTTP adapter.
_PORTS = {
    "http": {"--http-port": 0},
    "zmq": {"--zmq-port": 0, "--pubsub-port": 0},
    "line": {"--line-port": 0},
}
_BINARIES = {"http": HTTP, "zmq": ZMQ, "line": LINE}

ALL = {"http": {}, "zmq": {}, "line": {}}


def add_adapter(started, kind, ingest, flags=None, name=None):
    """Starts an adapter as a process of its own, for publishes to that ingest program."""
    upstream = {"--query": started.query.address("query")}
    if kind != "line":  # It only asks.
        upstream["--ingest"] = ingest.address("ingest")
    extra = {"--https-port": "off"} if kind == "http" else {}
    program = started.add(name or kind, _BINARIES[kind], {
        **_PORTS[kind], **extra, "--metrics-port": 0, "--identity": IDENTITY, **upstream,
        **(flags or {})})
    return program


def _start_processes(directory, doors, **options):
    started = system.start_processes(directory, **options)
    try:
        # Publishes come in through different ingest processes.
        ingests = {"http": started.ingests[0], "zmq": started.ingests[-1]}
        for kind, flags in doors.items():
            started.doors[kind] = add_adapter(started, kind, ingests.get(kind), flags)
        for program in set(started.doors.values()):
            program.wait_ready()
    except BaseException:
        system.print_logs(started)
        started.destroy()
        raise
    return started


def _start_standalone(directory, doors, query_flags=None, **options):
    flags = dict(query_flags or {})
    for kind, more in doors.items():
        flags.update(_PORTS[kind])
        flags.update(more)
    flags["--identity"] = IDENTITY
    started = system.start_standalone(directory, query_flags=flags, **options)
    for kind in doors:
        started.doors[kind] = started.query
    return started


def start(mode, directory, doors, **options):
    """A system in that mode with the doors named. doors: {"http": {"--flag": value}, ...}; the
    options are those of system.MODES."""
    return {"processes": _start_processes, "standalone": _start_standalone}[mode](
        directory, doors, **options)


def resident(program):
    """The bytes of memory that a program has now, and the most that it had."""
    with open(f"/proc/{program.pid}/status", encoding="ascii") as status:
        values = dict(line.split(":", 1) for line in status)
    return tuple(int(values[key].split()[0]) << 10 for key in ("VmRSS", "VmHWM"))


# Sanitizers keep what was freed, and remember more: what tests of memory allow then differs.
SANITIZED = "ASAN_OPTIONS" in os.environ
