"""Every snapshot of separate processes that are killed at random is as the rules have it."""

from testing.model import checks


def test_every_snapshot_is_as_the_rules_have_it():
    checks.check("processes", seed=20)
