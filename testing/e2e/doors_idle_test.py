"""Thousands of clients that are connected and silent, and one more that is answered. How long that
takes, and how much memory an idle connection takes, is printed; it decides nothing."""

import contextlib
import json
import resource
import socket
import time

import pytest
import zmq

from testing.e2e import doors, system
from testing.e2e.door_clients import HttpDoor, LineDoor, ZmqDoor

CONNECTIONS = 5000
ZMQ_CLIENTS = 1000


@pytest.fixture(name="started", scope="module", params=sorted(system.MODES))
def started_fixture(request, tmp_path_factory):
    """A Qasino in each mode whose programs may open many files; each connection is one here too."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert most >= CONNECTIONS + 2000, f"no more than {most} files may be open (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    directory = str(tmp_path_factory.mktemp(request.param))
    with system.kept(doors.start(request.param, directory, doors.ALL)) as qasino:
        yield qasino


def tell(capsys, what, count, program, before, latencies):
    after, _ = doors.resident(program)
    ordered = sorted(latencies)
    with capsys.disabled():
        print(f"\n{program.name}: {count} idle {what}: "
              f"{max(0, after - before) / count / 1024:.1f} KiB each; a new client is "
              f"answered in {ordered[len(ordered) // 2] * 1000:.1f} ms, "
              f"{ordered[-1] * 1000:.1f} ms at the most")


def new_clients(kind, qasino):
    """The seconds that each of some new clients takes from connecting to its answer."""
    latencies = []
    for n in range(20):
        begun = time.monotonic()
        client = kind(qasino)
        assert client.ask(f"SELECT {n}").rows == [[str(n)]]
        latencies.append(time.monotonic() - begun)
        client.close()
    return latencies


REQUEST = b"GET /request?op=query&sql=select+1 HTTP/1.1\r\nHost: x\r\n\r\n"


def idle_connections(stack, port, question, answer_end):
    """So many connections, each of which has had an answer and is silent since."""
    opened = []
    for begin in range(0, CONNECTIONS, 100):
        some = [stack.enter_context(socket.create_connection(("127.0.0.1", port), system.DEADLINE))
                for _ in range(min(100, CONNECTIONS - begin))]
        for connection in some:
            connection.sendall(question)
        for connection in some:
            answer = b""
            while not answer.endswith(answer_end):
                piece = connection.recv(4096)
                assert piece, f"connection {begin} was closed after {answer!r}"
                answer += piece
        opened += some
    return opened


@pytest.mark.parametrize("what, kind, question, answer_end", [
    ("http", HttpDoor, REQUEST, b"}}"),
    ("line", LineDoor, b"select 1;\r\n", b"1 rows returned\r\n"),
])
def test_idle_connections(started, capsys, what, kind, question, answer_end):
    program = started.doors[what]
    new_clients(kind, started)
    before, _ = doors.resident(program)
    with contextlib.ExitStack() as stack:
        opened = idle_connections(stack, started.door(what), question, answer_end)
        tell(capsys, f"connections to {what}", len(opened), program, before,
             new_clients(kind, started))
        # They are there still.
        for connection in opened[::500]:
            connection.sendall(question)
            assert connection.recv(4096)
    assert new_clients(kind, started)


def test_idle_zmq_clients(started, capsys):
    program = started.doors["zmq"]
    new_clients(ZmqDoor, started)
    before, _ = doors.resident(program)
    context = zmq.Context()
    context.max_sockets = ZMQ_CLIENTS + 100
    question = json.dumps({"op": "query", "sql": "select 1"}).encode()
    clients = []
    try:
        for _ in range(ZMQ_CLIENTS):
            client = context.socket(zmq.REQ)
            client.linger = 0
            client.rcvtimeo = int(system.DEADLINE * 1000)
            client.connect(f"tcp://127.0.0.1:{started.door('zmq')}")
            clients.append(client)
        for client in clients:
            client.send(question)
        for client in clients:
            assert b'"rows":[["1"]]' in client.recv()
        tell(capsys, "REQ clients", len(clients), program, before, new_clients(ZmqDoor, started))
        for client in clients[::100]:
            client.send(question)
            assert b'"rows":[["1"]]' in client.recv()
    finally:
        context.destroy(linger=0)
