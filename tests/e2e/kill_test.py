"""keyed_count while TaskManagers are killed (-9): what is committed equals an undisturbed run's.

    WEIR_TEST_BIN=build/release/bin tests/e2e/kill_test.py [--records N] [--kills K] [--seed S] [--rate R]
"""

import argparse
import collections
import json
import random
import sys
import time

from cluster import Cluster, committed_lines, library_of, wait_until

# CI's size: long enough for a dozen checkpoints, short enough for a minute. A real proof: --records 20000000.
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--records", type=int, default=4_000_000)
parser.add_argument("--keys", type=int, default=1_000)
parser.add_argument("--rate", type=int, default=300_000, help="records a second; 0: as fast as can be")
parser.add_argument("--kills", type=int, default=3)
parser.add_argument("--parallelism", type=int, default=2)
parser.add_argument("--seed", type=int, default=None, help="of the kills' moments; else random")
parser.add_argument("--unaligned", action="store_true", help="with unaligned checkpoints")


def submit(cluster, options, out, rate):
    arguments = ["--records", options.records, "--keys", options.keys, "--seed", 7, "--rate", rate,
                 "--out", cluster.folder / out]
    settings = {"execution.checkpointing.interval": "1 s",
                "execution.checkpointing.unaligned.enabled": str(options.unaligned).lower()}
    return cluster.rest.run(library_of(cluster.rest, "keyed_count"), arguments, parallelism=options.parallelism,
                            entry="keyed_count", settings=settings)


def undisturbed_run(cluster, options):
    job = submit(cluster, options, "undisturbed", 0)
    cluster.rest.wait_for_state(job, "FINISHED", 600)
    lines = committed_lines(cluster.folder / "undisturbed")
    assert sum(json.loads(line)["count"] for line in lines.elements()) == options.records, "the job itself is wrong"
    return lines


def disturbed_run(cluster, options, randomness):
    rest = cluster.rest
    begin = time.monotonic()
    job = submit(cluster, options, "disturbed", options.rate)
    for number in range(1, options.kills + 1):
        rest.wait_for_state(job, "RUNNING", 120)
        # A moment after a checkpoint of this attempt, so that each kill has something to restore.
        done = rest.completed_checkpoints(job)
        wait_until("a checkpoint of this attempt", lambda done=done: rest.completed_checkpoints(job) > done)
        moment = time.monotonic() + randomness.uniform(0, 1.5)
        wait_until("the moment", lambda moment=moment: time.monotonic() >= moment)
        state = rest.state(job)
        assert state not in ("FINISHED", "FAILED"), f"the job is {state} before kill {number}: give more --records"
        victim = randomness.randrange(len(cluster.task_managers))
        print(f"{time.monotonic() - begin:6.1f} s: kill {number} of TaskManager {victim}, job {state}", flush=True)
        cluster.kill_task_manager(victim)
        cluster.start_task_manager()
        wait_until("the job has restored", lambda number=number: rest.restored(job) >= number, 120)
    rest.wait_for_state(job, "FINISHED", 900)
    print(f"{time.monotonic() - begin:6.1f} s: finished, restored {rest.restored(job)} times", flush=True)
    return committed_lines(cluster.folder / "disturbed")


def main():
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    # No slots to spare: each TaskManager has tasks, so that each kill has something to restore.
    with Cluster(task_managers=2, slots=(options.parallelism + 1) // 2) as cluster:
        expected = undisturbed_run(cluster, options)
        actual = disturbed_run(cluster, options, random.Random(seed))
        if actual != expected:
            missing, extra = expected - actual, actual - expected
            print(f"DIFFERENT: {sum(missing.values())} lines missing, {sum(extra.values())} too many; seed {seed}")
            for name, lines in (("missing", missing), ("too many", extra)):
                for line, count in collections.Counter(lines).most_common(10):
                    print(f"  {name}: {count} x {line}")
            raise AssertionError("the committed output differs from an undisturbed run's")
        print(f"equal: {sum(actual.values())} lines over {options.records} records, {options.kills} kills")


if __name__ == "__main__":
    sys.exit(main())
