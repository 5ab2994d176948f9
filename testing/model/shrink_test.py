"""A history that fails gets short, and stays one that fails."""

from testing.model import history, shrink


def of(count):
    return history.History(count, tuple(
        history.DropStatic(at=float(number), table=f"t{number % 5}") for number in range(count)))


def test_finds_the_two_events_that_matter():
    def fails(candidate):
        names = [event.table for event in candidate.events]
        return "t1" in names and "t3" in names

    shrinker = shrink.Shrinker(fails, seconds=1e9)
    shortest = shrinker.shrink(of(200))
    assert sorted(event.table for event in shortest.events) == ["t1", "t3"]
    assert fails(shortest)


def test_leaves_out_what_came_after_and_other_tables():
    runs = []

    def fails(candidate):
        runs.append(candidate)
        return any(event.table == "t2" for event in candidate.events)

    shortest = shrink.Shrinker(fails, seconds=1e9).shrink(of(100), offset=50, table="T2")
    assert len(shortest.events) == 1
    assert all(event.at < 52 for event in runs[0].events)
    assert {event.table for event in runs[1].events} == {"t2"}
    assert shortest.generations <= 5  # The beginning was cut off as well.


def test_stops_in_time_with_a_history_that_fails():
    now = [0.0]

    def fails(candidate):
        now[0] += candidate.generations
        return any(event.table == "t4" for event in candidate.events)

    shrinker = shrink.Shrinker(fails, seconds=150, clock=lambda: now[0])
    shortest = shrinker.shrink(of(100))
    assert now[0] < 150 + 100
    assert any(event.table == "t4" for event in shortest.events)


def test_a_candidate_that_passes_by_luck_gets_another_chance():
    tries = {}

    def fails(candidate):
        tries[candidate] = tries.get(candidate, 0) + 1
        return tries[candidate] == 2 and any(event.table == "t0" for event in candidate.events)

    shortest = shrink.Shrinker(fails, seconds=1e9, chances=2).shrink(of(20))
    assert [event.table for event in shortest.events] == ["t0"]


def test_a_history_that_fails_only_whole_is_kept():
    whole = of(30)
    shortest = shrink.Shrinker(lambda candidate: len(candidate.events) == 30, 1e9).shrink(whole)
    assert shortest.events == whole.events
