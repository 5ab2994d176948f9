"""The model check: publishes at random while processes are killed at random, and compares
every snapshot with the rules of behaviour.

  bazel run //testing/model -- --generations 1000 --seed 7 --mode processes

A history is made from the seed: 20 identities publish plain, updated, persistent and static
tables whose schemas change, and programs are killed, asked to end and started again. What is
seen is judged by a model of the rules (model.py). On a mismatch the history is shortened, and
the short one is printed; `--history FILE` runs it again. Timing is the processes' own, so the
same history need not end the same way twice.

The exit code is 0 when no snapshot and no answer was against the rules.
"""

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time

from testing.model import history, runner, shrink

MODES = ("processes", "standalone")
# Events of a short history that are printed; one of more is in the folder of --keep.
_MOST_SHOWN = 60


def _report(run, recorded, verdict):
    """What was done and compared, in lines."""
    by_sort = collections.defaultdict(collections.Counter)
    for attempt in recorded.attempts:
        sort = getattr(attempt.event, "sort", type(attempt.event).__name__)
        by_sort[sort]["duplicate" if attempt.duplicate else attempt.code] += 1
    lines = [f"  {name}: {count}" for name, count in verdict.counts.items()]
    lines += [f"  {sort}: " + ", ".join(f"{count} {result}"
                                       for result, count in by_sort[sort].most_common())
              for sort in sorted(by_sort)]
    lines += [f"  {name}: {count} times" for name, count in sorted(run.stops.items())]
    lines.append(f"  mismatches: {len(verdict.mismatches)}")
    return "\n".join(lines)


class _Check:
    """One call of the program."""

    def __init__(self, options, scratch):
        self._options = options
        self._scratch = scratch
        self._runs = 0

    def _folder(self):
        self._runs += 1
        folder = os.path.join(self._scratch, f"run-{self._runs}")
        os.makedirs(folder)
        return folder

    def run(self, to_run):
        folder = self._folder()
        run = runner.Runner(to_run, self._options.mode, folder)
        began = time.time()
        recorded, verdict = run.run(self._progress)
        print(_report(run, recorded, verdict))
        print(f"  seconds: {time.time() - began:.0f}", flush=True)
        for mismatch in verdict.mismatches[:20]:
            print(f"MISMATCH {mismatch}")
        if not verdict.mismatches:
            return True
        self._keep(folder, to_run, recorded, run.began)
        if self._options.shrink:
            self._shrink(to_run, verdict.mismatches[0], run.began)
        return False

    def _progress(self, verdict):
        if self._options.verbose:
            print(f"  … {verdict.counts['generations compared']} generations compared, "
                  f"{len(verdict.mismatches)} mismatches", flush=True)

    def _keep(self, folder, to_run, recorded, began):
        """The logs, the history and what was seen, where somebody finds them."""
        if not self._options.keep:
            return
        os.makedirs(self._options.keep, exist_ok=True)
        for name in os.listdir(folder):
            if name.endswith(".log"):
                shutil.copy(os.path.join(folder, name), self._options.keep)
        path = os.path.join(self._options.keep, "history.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(history.to_json(to_run))
        with open(os.path.join(self._options.keep, "seen.txt"), "w", encoding="utf-8") as file:
            file.write(f"began {began}\n" + "\n".join(recorded.lines()) + "\n")
        print(f"logs, history and what was seen are in {self._options.keep}")

    def _shrink(self, to_run, mismatch, began):
        print(f"shrinking, for at most {self._options.shrink} s …", flush=True)
        seen = [mismatch]

        def fails(candidate):
            folder = self._folder()
            try:
                _, verdict = runner.Runner(candidate, self._options.mode, folder).run()
            except AssertionError as error:  # A program did not come up, or died.
                print(f"  {error}")
                return True
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            if verdict.mismatches:
                seen[0] = verdict.mismatches[0]
            return bool(verdict.mismatches)

        shrinker = shrink.Shrinker(fails, self._options.shrink)
        short = shrinker.shrink(
            to_run, offset=mismatch.generation - began if mismatch.generation else None,
            table=mismatch.table or None)
        print(f"after {shrinker.runs} runs {len(short.events)} of {len(to_run.events)} events "
              f"are left:")
        if len(short.events) <= _MOST_SHOWN:
            print(f"SHORT HISTORY:\n{history.to_json(short)}MISMATCH {seen[0]}")
        else:
            print(f"too many to show. MISMATCH {seen[0]}")
        if self._options.keep:
            path = os.path.join(self._options.keep, "short_history.json")
            with open(path, "w", encoding="utf-8") as file:
                file.write(history.to_json(short))


def _path(text):
    """As seen from where the program was called, also under `bazel run`."""
    return os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", ""), text)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=200, help="of 1 s each (200)")
    parser.add_argument("--seed", type=int, help="of the history; a new one if absent")
    parser.add_argument("--mode", choices=MODES, default="processes")
    parser.add_argument("--sorts", help="comma-separated sorts of publishes: plain, update, "
                        "persist, update+persist, static; all if absent")
    parser.add_argument("--history", type=_path, help="run this file instead")
    parser.add_argument("--keep", type=_path, help="folder for history and logs of a failure")
    parser.add_argument("--shrink", type=float, default=600, metavar="SECONDS",
                        help="for how long a history that fails is shortened; 0: not (600)")
    parser.add_argument("--verbose", action="store_true", help="tell how it goes on")
    options = parser.parse_args(arguments)

    if options.history:
        with open(options.history, encoding="utf-8") as file:
            to_run = history.from_json(file.read())
        print(f"history {options.history}, mode {options.mode}")
    else:
        seed = options.seed
        if seed is None:
            seed = random.SystemRandom().randrange(1 << 32)
        sorts = {"sorts": tuple(options.sorts.split(","))} if options.sorts else {}
        to_run = history.Generator(seed, options.generations, options.mode, **sorts).history()
        print(f"seed {seed}, mode {options.mode}, {options.generations} generations, "
              f"{len(to_run.events)} events", flush=True)
    scratch = tempfile.mkdtemp(prefix="qasino-model-", dir=os.environ.get("TEST_TMPDIR"))
    try:
        return 0 if _Check(options, scratch).run(to_run) else 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
