"""The model check as the tests run it: bounded in time."""

import os

from testing.model import model_check


def check(mode, seed):
    """Runs it for about a minute; AddressSanitizer makes everything slower, so half as long."""
    generations = 25 if "ASAN_OPTIONS" in os.environ else 60
    arguments = ["--mode", mode, "--seed", str(seed), "--generations", str(generations),
                 "--shrink", "120"]
    outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if outputs:
        arguments += ["--keep", outputs]
    assert model_check.main(arguments) == 0
