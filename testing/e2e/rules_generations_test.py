"""The rules of behaviour, Generations. Each sentence, and the test that shows it:

"A generation's number is the Unix second at which its collection started, a multiple of its
duration, so that every ingest process seals at the same instants without talking to the others."
    test_generations_a_number_is_the_unix_second_of_its_start_and_a_multiple_of_the_duration
    test_generations_every_ingest_process_seals_at_the_same_instants
"A publish is acknowledged after it is in the running shard, and the answer names its generation;
what was acknowledged is in that generation's snapshot."
    test_generations_a_publish_is_acknowledged_after_it_is_in_the_running_shard
    test_generations_what_was_acknowledged_is_in_the_snapshot_of_the_generation_that_was_named
"A clock that steps back never makes a number repeat or fall: the next generation is then the last
plus one duration."
    The clock of a machine is not for a test to set. In C++, with a clock of their own:
    services/ingest/generation_clock_test.cc: GenerationClock.LargeStepBackGoesOnFromTheLastNumber,
    .ReturningFromALargeStepBackNeverRepeats, .WhateverTheClockDoesNumbersGrowByMultiples;
    services/ingest/ingest_part_test.cc:
    IngestPartTest.AClockPutBackBetweenTwoRunsMakesNoNumberRepeatOrFall. Here:
    test_generations_numbers_never_repeat_or_fall_when_everything_is_restarted
"What an ingest process held of the running generation is lost if that process dies (publishers
send again next time); the proto comment says so."
    test_generations_what_an_ingest_process_held_is_lost_if_it_dies_and_is_sent_again_next_time
    test_generations_the_proto_comment_says_what_is_lost
"Publishing goes on while a shard is sealed and sent."
    test_generations_publishing_goes_on_while_a_shard_is_sealed_and_sent
    test_generations_publishing_goes_on_while_the_store_takes_nothing
"When the store is away, ingest keeps its sealed shards (bounded; oldest dropped first, counted and
logged) and sends them when it is back; query goes on serving what it has."
    test_generations_sealed_shards_are_kept_while_the_store_is_away_and_sent_when_it_is_back
    test_generations_kept_shards_are_bounded_the_oldest_dropped_first_counted_and_logged
    test_generations_query_goes_on_serving_what_it_has_while_the_store_is_away
    (These three with separate processes: in one process the store is never away alone.)
"""

import re
import threading
import time

import pytest
from qasino.v1 import ingest_pb2, snapshot_pb2

from testing.e2e import system, tables
from testing.e2e.tables import INTEGER, TEXT

FLAGS = {"store": {"--retain": 100}}


def numbered(name, number):
    return tables.table(name, {"n": (INTEGER, [number])})


def shards_with(client, generation, table):
    manifest = client.manifest(generation)
    return [shard for shard in (manifest.shards if manifest else [])
            if any(info.name == table for info in shard.tables)]


def watched(client, ingest, count):
    """The first messages of a watch of generations."""
    stream = client.ingests[ingest].WatchGenerations(ingest_pb2.WatchGenerationsRequest(),
                                                     timeout=system.DEADLINE)
    messages = [message for message, _ in zip(stream, range(count))]
    stream.cancel()
    return messages


def test_generations_a_number_is_the_unix_second_of_its_start_and_a_multiple_of_the_duration(start):
    qasino = start({"ingest": {"--generation-duration": "2s"}})
    for ingest in range(len(qasino.ingests)):
        seen = watched(qasino.client, ingest, 3)
        for message in seen:
            assert (message.duration.seconds, message.duration.nanos) == (2, 0)
            assert message.generation % 2 == 0
            # Its collection began at that second of the server's clock. (How much later a
            # message leaves a busy machine is not certain.)
            assert message.sent_at.ToNanoseconds() >= message.generation * 10**9
        numbers = [message.generation for message in seen]
        assert numbers == sorted(set(numbers))
        # The first is the running one, and was when the message left.
        assert seen[0].sent_at.seconds < seen[0].generation + 2


def test_generations_every_ingest_process_seals_at_the_same_instants(qasino):
    for generation in sorted(qasino.client.generations())[-2:]:
        shards = [shard for shard in qasino.client.whole_manifest(generation).shards
                  if shard.kind == snapshot_pb2.COLLECTED]
        assert sorted(shard.identity for shard in shards) == sorted(
            program.flags["--identity"] for program in qasino.ingests)
        for shard in shards:
            assert shard.generation == generation
            assert shard.duration.seconds == 1
            assert shard.sealed_at.ToNanoseconds() >= (generation + 1) * 10**9


def test_generations_a_publish_is_acknowledged_after_it_is_in_the_running_shard(qasino):
    for ingest in range(len(qasino.ingests)):

        def attempt():
            response = qasino.client.publish("h1", numbered("running", ingest), ingest)
            info, shard = qasino.client.running_shard(ingest)
            if info.generation != response.generation:
                return None  # That generation ended between the two.
            assert info.kind == snapshot_pb2.RUNNING
            return shard.execute("SELECT n FROM running").fetchall()

        assert system.wait_for(attempt, "a running shard of the publish's generation") == [
            (ingest,)]


def test_generations_what_was_acknowledged_is_in_the_snapshot_of_the_generation_that_was_named(
        qasino):
    client = qasino.client
    acknowledged = {}
    lock = threading.Lock()
    first = client.wait_for_a_new_generation()

    def publish(publisher):
        number = 0
        while True:
            identity = f"acknowledged-{publisher}-{number}"
            generation = client.publish(identity, tables.table("acknowledged", {
                "who": (TEXT, [identity])}), publisher % len(qasino.ingests)).generation
            with lock:
                acknowledged.setdefault(generation, []).append(identity)
            if generation >= first + 3:
                return
            number += 1

    threads = [threading.Thread(target=publish, args=(each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(system.DEADLINE)
    # More than two, so that some publishes met an end of a generation.
    assert len(acknowledged) > 2
    for generation, identities in acknowledged.items():
        answer = client.answer_of(generation, "SELECT who FROM acknowledged")
        assert sorted(answer.column("who")) == sorted(identities)


def test_generations_numbers_never_repeat_or_fall_when_everything_is_restarted(restartable):
    client = restartable.client
    seen = [client.publish("h1", numbered("restarted", 1)).generation]
    for stop in (restartable.crash, restartable.terminate):
        client.whole_manifest(seen[-1] - 1)
        stop()
        restartable.restart()
        seen.append(client.publish("h1", numbered("restarted", 2)).generation)
        held = client.generations()
        assert held == sorted(set(held), reverse=True)
    assert seen == sorted(seen)


def test_generations_what_an_ingest_process_held_is_lost_if_it_dies_and_is_sent_again_next_time(
        restartable):
    client = restartable.client

    def attempt():
        client.wait_for_a_new_generation()
        generation = client.publish("h1", numbered("held", 1)).generation
        restartable.ingests[0].kill()
        died_in_it = time.time() < generation + 1  # Else its shard may have left before.
        restartable.restart()
        again = client.publish("h1", numbered("held", 2)).generation
        return (generation, again) if died_in_it else None

    generation, again = system.wait_for(attempt, "an ingest process that died in a generation")
    system.wait_for(lambda: shards_with(client, again, "held"), "what was sent again")
    # That generation expects the process that died, too, and is not complete.
    assert client.answer_of(again, "SELECT n FROM held",
                            revision=client.manifest(again).revision).rows == [(2,)]
    if again > generation:
        # Of the generation in which it died there is nothing, even when later ones are there.
        assert not shards_with(client, generation, "held")


def test_generations_the_proto_comment_says_what_is_lost():
    with open("proto/qasino/v1/ingest.proto", encoding="utf-8") as file:
        words = re.sub(r"\s*\n//\s*", " ", file.read())
    assert ("What an ingest process holds of the running generation is lost if that process dies; "
            "publishers send again in the next one.") in words


def test_generations_publishing_goes_on_while_a_shard_is_sealed_and_sent(qasino):
    client = qasino.client
    # Shards of some megabytes take some time to seal and send, beside which a publish is quick.
    rows = 100_000
    large = tables.table("large", {"n": (INTEGER, list(range(rows))),
                                   "t": (TEXT, [f"text of row {n}" for n in range(rows)])})
    first = client.wait_for_a_new_generation()
    acknowledged = {}
    number = 0
    while max(acknowledged, default=first) < first + 4:
        generation = client.publish("h1", large).generation
        for _ in range(20):
            response = client.publish(f"small-{number}", numbered("small", number))
            acknowledged.setdefault(response.generation, []).append(number)
            assert response.generation >= generation
            number += 1
    for generation, numbers in list(acknowledged.items())[:-1]:
        answer = client.answer_of(generation, "SELECT n FROM small ORDER BY n")
        assert answer.column("n") == numbers


def test_generations_publishing_goes_on_while_the_store_takes_nothing(tmp_path):
    with system.kept(system.start_processes(str(tmp_path),
                                            store_flags={"--retain": 100})) as processes:
        processes.wait_for_all_ingests()
        client = processes.client
        acknowledged = {}
        with processes.store.paused():
            number = 0
            while len(acknowledged) < 3:
                response = client.publish(f"h{number}", numbered("meanwhile", number))
                acknowledged.setdefault(response.generation, []).append(number)
                number += 1
        for generation, numbers in acknowledged.items():
            def sealed():
                return sum(info.rows for shard in (  # pylint: disable=cell-var-from-loop
                    client.manifest(generation) or snapshot_pb2.Manifest()).shards
                    for info in shard.tables if info.name == "meanwhile")

            system.wait_for(lambda: sealed() == len(numbers),  # pylint: disable=cell-var-from-loop
                            f"what was acknowledged of generation {generation}")


def test_generations_sealed_shards_are_kept_while_the_store_is_away_and_sent_when_it_is_back(
        processes):
    client = processes.client
    processes.store.kill()
    generations = set()
    while len(generations) < 3:
        generations.add(client.publish("h1", numbered("delayed", 1)).generation)
    processes.store.start()
    for generation in generations:
        system.wait_for(lambda: shards_with(client, generation, "delayed"),  # pylint: disable=cell-var-from-loop
                        f"what was sealed of generation {generation} meanwhile")


def test_generations_kept_shards_are_bounded_the_oldest_dropped_first_counted_and_logged(tmp_path):
    text = "x" * 100_000
    with system.kept(system.start_processes(
            str(tmp_path), relayed=True, ingest_flags={"--max-backlog-bytes": 1_500_000},
            store_flags={"--retain": 100})) as processes:
        client, ingest = processes.client, processes.ingests[0]

        def dropped():
            return float(re.search(
                r'^qasino_ingest_shards_dropped_total{reason="backlog_full"} (\S+)$',
                ingest.http("/metrics")[1], re.MULTILINE).group(1))

        assert dropped() == 0
        processes.store.kill()
        generations = []
        # Each shard has about half of what may be kept.
        bulky = tables.table("bulky", {"t": (TEXT, [text] * 7)})
        while dropped() < 2:
            generation = client.publish("h1", bulky).generation
            if generation not in generations:
                generations.append(generation)
        assert re.search(r"shard dropped: the store is away and the backlog is full", ingest.log())
        processes.store.start()
        system.wait_for(lambda: shards_with(client, generations[-2], "bulky"),
                        "the newest sealed shard")
        last = client.publish("h1", numbered("after", 1)).generation
        system.wait_for(lambda: shards_with(client, last, "after"), "a shard sealed afterwards")
        there = [bool(shards_with(client, generation, "bulky")) for generation in generations]
        assert there == sorted(there), "only the oldest were dropped"
        assert there[0] is False
        assert there[-2] is True


def test_generations_query_goes_on_serving_what_it_has_while_the_store_is_away(processes):
    client = processes.client
    processes.wait_for_all_ingests()
    with client.keeps_publishing([(0, "h1", numbered("kept", 1)), (1, "h2", numbered("kept", 2))]):
        client.query_until("SELECT n FROM kept", lambda answer: len(answer.rows) == 2)
        processes.store.kill()
        answer = client.query("SELECT n FROM kept ORDER BY n")
        assert answer.rows == [(1,), (2,)]
        # It is the same snapshot however many generations end meanwhile.
        for _ in range(2):
            client.wait_for_a_new_generation()
        again = client.query("SELECT n FROM kept ORDER BY n")
        assert (again.rows, again.generation) == (answer.rows, answer.generation)
        processes.store.start()
        client.query_until("SELECT n FROM kept ORDER BY n",
                           lambda later: later.generation > answer.generation
                           and later.rows == [(1,), (2,)])


@pytest.mark.parametrize("name", ["h1", "h2"])
def test_generations_a_table_that_is_not_published_again_is_gone_with_the_next_snapshot(qasino,
                                                                                      name):
    generation = qasino.client.publish(name, numbered("passing", 1)).generation
    assert "passing" in qasino.client.table_names_of(generation)
    assert "passing" not in qasino.client.table_names_of(generation + 1)
