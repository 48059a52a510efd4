"""A thousand checkpoints in a row, with TaskManagers killed (-9) in between, leave no file that no retained one needs.

    WEIR_TEST_BIN=build/release/bin tests/e2e/checkpoint_files_test.py [--checkpoints N] [--kills K] [--seed S]
"""

import argparse
import random
import sys
import time

from cluster import Cluster, wait_until, weir
from savepoint_test import Jobs

RETAINED = 3

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--checkpoints", type=int, default=1_000)
parser.add_argument("--kills", type=int, default=4)
parser.add_argument("--seed", type=int, default=None, help="of the kills' moments; else random")


def needed_and_present(folder):
    """Returns the state files that the checkpoints in a job's folder name, as bytes, and those that are there."""
    metadata = b"".join(path.read_bytes() for path in folder.glob("chk-*/_metadata"))
    return metadata, sorted(path.name for path in (folder / "shared").iterdir())


def main():
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    randomness = random.Random(seed)
    print(f"seed {seed}", flush=True)
    settings = ["restart-strategy.type=fixed-delay", "restart-strategy.fixed-delay.delay=10 ms"]
    # A slot each, so that every kill hits the job.
    with Cluster(task_managers=2, slots=1, options=settings) as cluster:
        jobs, rest = Jobs(cluster), cluster.rest
        # Each checkpoint has a few hundred changes in a state that lies in files.
        job = jobs.run("out", records=100_000_000, rate=20_000, parallelism=2, settings={
            "execution.checkpointing.interval": "5 ms", "state.checkpoints.num-retained": str(RETAINED),
            "restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.delay": "10 ms"})
        folder = jobs.folder(job)
        begin = time.monotonic()
        most = 0
        for kill in range(1, options.kills + 2):
            wanted = options.checkpoints * kill // (options.kills + 1)

            def reached(wanted=wanted):
                nonlocal most
                if (folder / "shared").is_dir():
                    most = max(most, sum(1 for _ in (folder / "shared").iterdir()))
                return rest.completed_checkpoints(job) >= wanted
            wait_until(f"{wanted} checkpoints", reached, 120)
            if kill > options.kills:
                break
            moment = time.monotonic() + randomness.uniform(0, 0.2)
            wait_until("the moment", lambda moment=moment: time.monotonic() >= moment)
            victim = randomness.randrange(2)
            print(f"{time.monotonic() - begin:5.1f} s: {rest.completed_checkpoints(job)} checkpoints, kill {kill} of TaskManager "
                  f"{victim}, at most {most} files so far", flush=True)
            cluster.kill_task_manager(victim)
            cluster.start_task_manager()
            wait_until("the job has restored", lambda kill=kill: rest.restored(job) >= kill, 60)
        done = rest.completed_checkpoints(job)
        rest.cancel(job)
        rest.wait_for_state(job, "CANCELED")
        print(f"{time.monotonic() - begin:5.1f} s: {done} checkpoints, restored {rest.restored(job)} times", flush=True)

        def orphans():
            metadata, present = needed_and_present(folder)
            return [name for name in present if name.encode() not in metadata]
        wait_until(f"no orphans: {orphans()[:5]}", lambda: not orphans())
        checkpoints = sorted(folder.glob("chk-*"), key=lambda path: int(path.name[4:]))
        assert len(checkpoints) == RETAINED, checkpoints
        _, present = needed_and_present(folder)
        assert present, "the state is too small for the test to mean anything"
        for path in checkpoints:
            weir("state", "verify", path)
        print(f"{len(present)} files are left, all of them needed by the {RETAINED} retained checkpoints", flush=True)


if __name__ == "__main__":
    sys.exit(main())
