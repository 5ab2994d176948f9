"""Shortens a history that fails, by leaving events out for as long as it still fails.

A history is executed in real time by real processes, so a run takes as long as the history
does, and may pass by luck: a candidate gets several chances, and the time for all is bounded.
"""

import dataclasses
import math
import time

from testing.model import history


def _after(events, second):
    """The events from a second on, which becomes the first."""
    return [dataclasses.replace(event, at=round(event.at - second, 4))
            for event in events if event.at >= second]


def _as_history(events):
    last = max((event.at for event in events), default=0)
    return history.History(math.ceil(last) + 1, tuple(events))


class Shrinker:
    """Shrinks one history."""

    def __init__(self, fails, seconds, chances=2, clock=time.monotonic):
        """fails(history): runs it, and is true when it fails. seconds: for everything."""
        self._fails = fails
        self._chances = chances
        self._clock = clock
        self._end = clock() + seconds
        self.runs = 0

    def _over(self):
        return self._clock() >= self._end

    def _still_fails(self, events):
        for _ in range(self._chances):
            if self._over():
                return False
            self.runs += 1
            if self._fails(_as_history(events)):
                return True
        return False

    def shrink(self, failing, offset=None, table=None):
        """The shortest history found that fails. offset: the second in which it failed, if
        known; table: the one that was wrong."""
        events = list(failing.events)
        if offset is not None:
            # What came after cannot have mattered, and what was long before hardly.
            events = self._first(events, [[event for event in events if event.at < offset + 2]])
        if table is not None:
            events = self._first(events, [
                [event for event in events if isinstance(event, history.Stop)
                 or event.table.lower() == table.lower()]])
        length = math.ceil(max((event.at for event in events), default=0))
        events = self._first(events, [_after(events, max(0, length - seconds))
                                      for seconds in (4, 8, 16, 32, 64) if seconds < length])
        return _as_history(self._minimise(events))

    def _first(self, events, candidates):
        for candidate in candidates:
            if len(candidate) < len(events) and self._still_fails(candidate):
                return candidate
        return events

    def _minimise(self, events):
        """Delta debugging: leaves out one part of many, then smaller ones."""
        parts = 2
        while len(events) > 1 and not self._over():
            size = math.ceil(len(events) / parts)
            for begin in range(0, len(events), size):
                candidate = events[:begin] + events[begin + size:]
                if candidate and self._still_fails(candidate):
                    events = candidate
                    parts = max(2, parts - 1)
                    break
            else:
                if size == 1:
                    break
                parts = min(len(events), parts * 2)
        return events
