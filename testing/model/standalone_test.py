"""Every snapshot of one process that is killed at random is as the rules have it."""

from testing.model import checks


def test_every_snapshot_is_as_the_rules_have_it():
    checks.check("standalone", seed=20)
