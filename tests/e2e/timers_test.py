"""A million timers: every process is killed (-9) while some have fired, and a new cluster goes on from the newest retained
checkpoint at twice the parallelism. Each timer fires exactly once.

    WEIR_TEST_BIN=build/release/bin tests/e2e/timers_test.py [--timers N] [--rate R]
"""

import argparse
import json
import time

from cluster import Cluster, JOBS, committed_lines, wait_until

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--timers", type=int, default=1_000_000)
parser.add_argument("--rate", type=int, default=400_000, help="records a second")
INTERVAL = {"execution.checkpointing.interval": "500 ms",
            "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION"}


def run(cluster, options, out, parallelism, savepoint=None):
    library = cluster.rest.upload(JOBS / "libtimers.so")
    body = {"programArgsList": ["--timers", str(options.timers), "--rate", str(options.rate), "--out", str(out)],
            "parallelism": parallelism, "flinkConfiguration": INTERVAL}
    if savepoint:
        body["savepointPath"] = str(savepoint)
    return cluster.rest.call("POST", f"/jars/{library}/run", body)["jobid"]


def newest_checkpoint(folder):
    """The newest checkpoint that is whole: one has metadata only then."""
    whole = [path.parent for path in folder.glob("*/chk-*/_metadata")]
    return max(whole, key=lambda path: int(path.name.removeprefix("chk-")))


def run_until_killed(cluster, options, out):
    """Kills all processes once some timers have fired. Returns the checkpoint that is left."""
    job = run(cluster, options, out, 2)
    wait_until("some timers have fired", lambda: out.exists() and committed_lines(out), 120)
    before = cluster.rest.completed_checkpoints(job)
    wait_until("a checkpoint after that", lambda: cluster.rest.completed_checkpoints(job) > before)
    assert cluster.rest.state(job) == "RUNNING", "all timers have fired already: give a lower --rate"
    for _, process in cluster.processes:
        process.kill()
    for _, process in cluster.processes:
        process.wait()
    fired = sum(committed_lines(out).values())
    print(f"killed when the lines of {fired} timers were committed", flush=True)
    assert 0 < fired < options.timers
    return newest_checkpoint(cluster.folder / "checkpoints")


def main():
    options = parser.parse_args()
    with Cluster(task_managers=2, slots=1) as killed, Cluster(task_managers=2, slots=2) as cluster:
        out = killed.folder / "fired"
        checkpoint = run_until_killed(killed, options, out)
        begin = time.monotonic()
        job = run(cluster, options, out, 4, savepoint=checkpoint)
        cluster.rest.wait_for_state(job, "FINISHED", 300)
        print(f"restored {checkpoint.name} at twice the parallelism, finished in {time.monotonic() - begin:.1f} s")
        lines = committed_lines(out)
    twice = [line for line, count in lines.items() if count > 1]
    assert not twice, f"{len(twice)} timers fired more than once, such as {twice[:3]}"
    missing = options.timers - len({json.loads(line)["key"] for line in lines})
    assert missing == 0, f"{missing} timers of {options.timers} have not fired"
    assert len(lines) == options.timers
    print(f"{len(lines)} timers, each fired once")


if __name__ == "__main__":
    main()
