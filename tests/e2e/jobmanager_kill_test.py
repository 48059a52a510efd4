"""Jobs that run on while their JobManager is killed (-9) and started again: at random moments, among them checkpoints, deployments
and cancellations. What is committed equals an undisturbed run's, and whatever can goes on without a restart.

    WEIR_TEST_BIN=build/release/bin tests/e2e/jobmanager_kill_test.py [--kills K] [--seed S] [--downtimes 0.2,2,20]
"""

import argparse
import collections
import random
import re
import signal
import sys
import time
import urllib.request

from cluster import JOBS, committed_lines, library_of, wait_until
from high_availability_test import Cluster

# CI's size. A real proof: --kills 100 --downtimes 0.2,2,20.
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--records", type=int, default=900_000)
parser.add_argument("--rate", type=int, default=30_000, help="records a second")
parser.add_argument("--kills", type=int, default=6)
parser.add_argument("--downtimes", default="0.2,2", help="seconds, of which one is drawn for each kill")
parser.add_argument("--seed", type=int, default=None, help="of the moments; else random")
parser.add_argument("--down", type=float, default=20, help="seconds of the outage in which output must go on")
INTERVAL = "100 ms"  # So that most kills come amid a checkpoint.


class Jobs:
    """keyed_count and window_counts, which commit to folders of the cluster's."""

    def __init__(self, cluster, options):
        self.cluster = cluster
        self.options = options
        rest = cluster.job_managers[0].rest
        self.libraries = {"keyed_count": library_of(rest, "keyed_count"),
                          "window_counts": rest.upload(JOBS / "libwindow_counts.so")}

    def submit(self, rest, entry, out, rate, records=None, arguments=()):
        arguments = ["--records", records or self.options.records, "--keys", 200, "--rate", rate,
                     "--out", self.cluster.folder / out, *arguments]
        return rest.run(self.libraries[entry], arguments, parallelism=2, entry=entry,
                        settings={"execution.checkpointing.interval": INTERVAL})

    def check_equal(self, expected, actual):
        expected, actual = committed_lines(self.cluster.folder / expected), committed_lines(self.cluster.folder / actual)
        missing, extra = expected - actual, actual - expected
        if missing or extra:
            for name, lines in (("missing", missing), ("too many", extra)):
                for line, count in collections.Counter(lines).most_common(10):
                    print(f"  {name}: {count} x {line}")
            raise AssertionError(f"{sum(missing.values())} lines missing, {sum(extra.values())} too many")
        print(f"equal: {sum(actual.values())} lines", flush=True)


def records_read(cluster):
    """The records that all tasks have taken in so far, as the TaskManagers themselves say."""
    total = 0
    for log in cluster.folder.glob("taskmanager-*.log"):
        port = re.search(r"metrics_port=(\d+)", log.read_text()).group(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("flink_taskmanager_job_task_numRecordsIn{"):
                    total += float(line.rsplit(" ", 1)[1])
    return total


def restored(rest, job):
    return rest.get(f"/jobs/{job}/checkpoints")["counts"]["restored"]


def attempts(rest, job):
    """The attempt number of every subtask."""
    return {(vertex["id"], subtask["subtask"]): subtask["attempt"]
            for vertex in rest.get(f"/jobs/{job}")["vertices"]
            for subtask in rest.get(f"/jobs/{job}/vertices/{vertex['id']}")["subtasks"]}


def down_for_long(cluster, jobs, options):
    """Output goes on while there is no JobManager, and no task is restarted (row E13)."""
    manager = cluster.job_managers[0]
    # Splits are handed out by way of the JobManager: each reader gets all of its share before that is gone.
    job = jobs.submit(manager.rest, "window_counts", "long", options.rate, arguments=["--splits-per-reader", 1])
    manager.rest.wait_for_state(job, "RUNNING")
    done = manager.rest.completed_checkpoints(job)
    wait_until("checkpoints", lambda: manager.rest.completed_checkpoints(job) > done + 3)
    before = attempts(manager.rest, job)
    manager.end()
    end = time.monotonic() + options.down
    seen = records_read(cluster)
    while time.monotonic() < end:
        wait_until("tasks go on without a JobManager", lambda seen=seen: records_read(cluster) > seen, 10)
        seen = records_read(cluster)
        time.sleep(min(1.0, max(0.0, end - time.monotonic())))
    begin = time.monotonic()
    manager.start()
    rest = manager.rest
    rest.wait_for_state(job, "RUNNING")
    print(f"the JobManager was down for {options.down:.0f} s; it has the job back {time.monotonic() - begin:.2f} s after its "
          f"start", flush=True)
    wait_until("a checkpoint of the new JobManager", lambda: rest.completed_checkpoints(job) > 0)
    assert restored(rest, job) == 0, "the job was restored"
    assert attempts(rest, job) == before
    rest.wait_for_state(job, "FINISHED", 300)
    jobs.check_equal("undisturbed", "long")


def killed_at_random(cluster, jobs, options, randomness):
    manager = cluster.job_managers[0]
    downtimes = [float(seconds) for seconds in options.downtimes.split(",")]
    entries = {"window_counts": "undisturbed", "keyed_count": "undisturbed-count"}
    running = {entry: jobs.submit(manager.rest, entry, f"{entry}-killed", options.rate) for entry in entries}
    gone_on = kills = 0
    while kills < options.kills:
        states = [manager.rest.state(job) for job in running.values()]
        if "FINISHED" in states:
            print("a job has finished before all kills: give more --records", flush=True)
            break
        time.sleep(randomness.uniform(0, 1.5))
        downtime = randomness.choice(downtimes)
        manager.end()
        kills += 1
        time.sleep(downtime)
        manager.start()
        for job in running.values():
            manager.rest.wait_for_state(job, {"RUNNING", "FINISHED"}, 120)
        again = sum(restored(manager.rest, job) for job in running.values())
        gone_on += again == 0
        print(f"kill {kills}: down for {downtime} s, restored {again} of {len(running)} jobs", flush=True)
    for entry, job in running.items():
        manager.rest.wait_for_state(job, "FINISHED", 600)
        jobs.check_equal(entries[entry], f"{entry}-killed")
    print(f"{kills} kills, after {gone_on} of them all tasks went on", flush=True)
    # The first kill may come amid the deployment.
    assert gone_on >= kills - 1, "jobs were restored although their TaskManagers lived"


def killed_while_jobs_come_and_go(cluster, jobs, options, randomness):
    """Kills during deployments and cancellations."""
    manager = cluster.job_managers[0]
    for number in range(4):
        out = f"fresh-{number}"
        job = jobs.submit(manager.rest, "window_counts", out, options.rate, records=60_000)
        time.sleep(randomness.uniform(0, 0.3))
        manager.end()
        manager.start()
        manager.rest.wait_for_state(job, "FINISHED", 300)
        jobs.check_equal("undisturbed-short", out)
    for number in range(3):
        job = jobs.submit(manager.rest, "keyed_count", f"cancelled-{number}", 1000)
        manager.rest.wait_for_state(job, "RUNNING")
        manager.rest.cancel(job)
        time.sleep(randomness.uniform(0, 0.05))
        manager.end()
        manager.start()
        # The request may have been lost with the JobManager; then the job runs.
        state = wait_until("the job is known", lambda job=job: manager.rest.state(job))
        if state not in ("CANCELED", "CANCELLING"):
            manager.rest.cancel(job)
        manager.rest.wait_for_state(job, "CANCELED")
    wait_until("nothing is left over", lambda: all(one["slotsNumber"] == one["freeSlots"]
                                                   for one in manager.rest.task_managers()))


def main():
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    randomness = random.Random(seed)
    with Cluster(1, options=["metrics.reporter.prom.port=0"],
                 of_job_managers=["process.jobmanager.working-dir={folder}/jobmanager"]) as cluster:
        manager = cluster.start()
        jobs = Jobs(cluster, options)
        undisturbed = [jobs.submit(manager.rest, "window_counts", "undisturbed", 0),
                       jobs.submit(manager.rest, "keyed_count", "undisturbed-count", 0),
                       jobs.submit(manager.rest, "window_counts", "undisturbed-short", 0, records=60_000)]
        for job in undisturbed:
            manager.rest.wait_for_state(job, "FINISHED", 600)
        down_for_long(cluster, jobs, options)
        killed_at_random(cluster, jobs, options, randomness)
        killed_while_jobs_come_and_go(cluster, jobs, options, randomness)
        manager.end(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
