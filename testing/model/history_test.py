"""Histories: from a seed, as JSON and back."""

import pytest

from testing.model import history


@pytest.mark.parametrize("mode", ["processes", "standalone"])
def test_a_seed_makes_one_history(mode):
    one = history.Generator(7, 50, mode).history()
    assert one == history.Generator(7, 50, mode).history()
    assert one != history.Generator(8, 50, mode).history()


@pytest.mark.parametrize("mode", ["processes", "standalone"])
def test_is_the_same_after_json(mode):
    one = history.Generator(3, 30, mode).history()
    text = history.to_json(one)
    assert history.from_json(text) == one
    # A line an event: lines may be taken out by hand.
    lines = text.splitlines()
    assert len(lines) == len(one.events) + 2


def test_has_every_sort_of_event_and_all_identities():
    events = history.Generator(1, 200, "processes").history().events
    publishes = [event for event in events if isinstance(event, history.Publish)]
    assert {event.sort for event in publishes} == {
        history.PLAIN, history.UPDATE, history.PERSIST, history.UPDATE_PERSIST, history.STATIC}
    assert {event.identity for event in publishes} == set(history.IDENTITIES)
    assert len(history.IDENTITIES) == 20
    assert {type(event) for event in events} == {
        history.Publish, history.DropStatic, history.DropPersistent, history.Stop}
    stops = [event for event in events if isinstance(event, history.Stop)]
    assert {(event.program, event.kill) for event in stops} == {
        (program, kill) for program in ("store", "ingest-a", "ingest-b", "query")
        for kill in (True, False)}


def test_is_in_order_and_each_identity_has_one_ingest_process():
    events = history.Generator(1, 100, "processes").history().events
    assert [event.at for event in events] == sorted(event.at for event in events)
    places = {}
    for event in events:
        if isinstance(event, history.Publish):
            assert places.setdefault(event.identity, event.ingest) == event.ingest
    assert set(places.values()) == {0, 1}


def test_publishes_are_valid():
    for event in history.Generator(5, 200, "processes").history().events:
        if not isinstance(event, history.Publish):
            continue
        names = [name.lower() for name, _, _ in event.columns]
        assert names and len(set(names)) == len(names)
        assert len({len(cells) for _, _, cells in event.columns}) == 1
        assert {name.lower() for name in event.keycols} <= set(names)
        if event.sort not in (history.UPDATE, history.UPDATE_PERSIST):
            assert not event.keycols


def test_only_the_sorts_that_are_wanted():
    events = history.Generator(1, 50, "standalone", sorts=(history.PLAIN,)).history().events
    assert {event.sort for event in events if isinstance(event, history.Publish)} == {"plain"}
    assert not any(isinstance(event, (history.DropStatic, history.DropPersistent))
                   for event in events)
