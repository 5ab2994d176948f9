"""What is malformed gets a clear answer or a closed connection from the ZeroMQ doors, and the next
request is answered."""

import itertools
import json

import pytest
import zmq

from testing.e2e import system
from testing.e2e.bad_messages import (  # pylint: disable=unused-import
    LIMITS, NUMBERS, OTHERS, Cases, broken_messages, exchange, is_error, nothing_was_stored,
    table_fixture, wrong_tables)
from testing.e2e.door_clients import ZmqDoor

FLAGS = {"doors": {"zmq": {}}, **LIMITS}


@pytest.fixture(name="zmq_cases")
def zmq_cases_fixture(qasino):
    client = ZmqDoor(qasino)

    def good():
        assert client.ask("select a from t").rows == [["1"]]

    yield Cases(good)
    client.close()


def test_zmq_messages_that_are_no_json(qasino, zmq_cases):
    client = ZmqDoor(qasino)

    def fault(text):
        (reply,) = client.request(text)
        return is_error(reply)

    for name, text in broken_messages():
        zmq_cases(name, lambda t=text: fault(t))
    zmq_cases.end(400)
    client.close()


def test_zmq_messages_with_wrong_types_in_every_key(qasino, zmq_cases):
    client = ZmqDoor(qasino)

    def fault(text):
        (reply,) = client.request(text.encode())
        return is_error(reply)

    for name, text in wrong_tables():
        zmq_cases(name, lambda t=text: fault(t))
    for value in OTHERS:
        zmq_cases(f"sql: {value!r:.20}",
                  lambda v=value: fault(json.dumps({"op": "query", "sql": v})))
        zmq_cases(f"op: {value!r:.20}", lambda v=value: fault(json.dumps({"op": v})))
    for value in NUMBERS:
        zmq_cases(f"op: {value:.20}", lambda v=value: fault(f'{{"op":{v}}}'))
    zmq_cases.end(150)
    client.close()


def test_zmq_wrong_numbers_of_parts(qasino, zmq_cases):
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.rcvtimeo = int(system.DEADLINE * 1000)
    dealer.connect(f"tcp://127.0.0.1:{qasino.door('zmq')}")
    query = json.dumps({"op": "query", "sql": "select 1"}).encode()
    probes = itertools.count()

    def fault(parts):
        """Sends it, and then what is answered for certain; a lone answer to the first is an
        answer as any other."""
        dealer.send_multipart(parts)
        probe = f"probe {next(probes)}".encode()
        dealer.send_multipart([probe, b"", query])
        while True:
            reply = dealer.recv_multipart()
            if reply[0] == probe:
                return None if b'"rows":[["1"]]' in reply[-1] else f"answered {reply!r}"
            if not reply[-1].startswith(b"{"):
                return f"answered {reply!r:.200}"

    alphabet = [b"", b"x", query, b"\xff" * 300]
    for count in range(1, 4):
        for parts in itertools.product(alphabet, repeat=count):
            zmq_cases(f"{[part[:5] for part in parts]}", lambda p=list(parts): fault(p))
    for parts in ([b""] * 1000, [b"x"] * 1000, [b"x"] * 1000 + [b"", query], [b"", query] * 500,
                  [b"", query, b""], [b"x" * 100_000, b"", query], [b"", b"", b"", query]):
        zmq_cases(f"{len(parts)} parts", lambda p=parts: fault(p))
    zmq_cases.end(80)
    context.destroy(linger=0)


def test_zmq_bytes_that_are_not_its_protocol(qasino, zmq_cases):
    greeting = (b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0"
                + b"\0" * 31)
    ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ"
    texts = [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000, b"\xff" * 1000, b"", greeting,
             greeting + b"\x04\x05HELLO", greeting + ready + b"\x02" + b"\xff" * 8,
             greeting + ready + b"\x02\x7f" + b"\xff" * 100,
             greeting + ready + b"\x01\x00\x00\x05{\"op\"", greeting + ready + b"\xff" * 100,
             greeting.replace(b"NULL", b"XXXX") + ready, greeting[:11] + b"\x09" + greeting[12:]]
    texts += [greeting[:at] for at in range(0, 64, 2)]
    texts += [greeting + ready[:at] for at in range(1, len(ready))]
    texts += [greeting[:at] + b"\xaa" + greeting[at + 1:] + ready for at in range(0, 64, 4)]
    for port in (qasino.door("zmq"), qasino.door("pubsub")):
        for n, text in enumerate(texts):
            zmq_cases(f"text {n}", lambda t=text, p=port: exchange(p, t) and None)
    zmq_cases.end(150)


def test_zmq_a_message_that_is_too_large_ends_its_connection_only(qasino, zmq_cases):
    context = zmq.Context()
    for _ in range(3):
        req = context.socket(zmq.REQ)
        req.linger = 0
        req.connect(f"tcp://127.0.0.1:{qasino.door('zmq')}")
        req.send(b'{"op":"query","sql":"' + b"x" * (100 << 20))
        zmq_cases("100 MB", lambda: None)
        req.close()
    zmq_cases.end(3)
    context.destroy(linger=0)


def test_zmq_what_is_sent_to_the_publishing_socket_is_passed_over(qasino, zmq_cases):
    context = zmq.Context()
    senders = []
    # One that asks for too much is hung up on, and comes again; it hurts no other.
    texts = [[bytes([n]) * (n * n) for n in range(100)], [b"\0GENSIG"], [b"\x01" + b"x" * 100_000]]
    for some in texts:
        sender = context.socket(zmq.XSUB)
        sender.connect(f"tcp://127.0.0.1:{qasino.door('pubsub')}")
        for text in some:
            sender.send(text)
        senders.append(sender)
        zmq_cases("the rest", lambda: None)
    subscriber = context.socket(zmq.SUB)
    subscriber.rcvtimeo = int(system.DEADLINE * 1000)
    subscriber.connect(f"tcp://127.0.0.1:{qasino.door('pubsub')}")
    subscriber.setsockopt(zmq.SUBSCRIBE, b"GENSIG")
    try:
        assert subscriber.recv().startswith(b"GENSIG\0")
    finally:
        context.destroy(linger=0)
    zmq_cases.end(3)
