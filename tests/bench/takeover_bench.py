#!/usr/bin/env python3
"""How long jobs are without a leader when the leading JobManager is killed (-9) beside a standby. Prints one table.

usage: tests/bench/takeover_bench.py [--runs N] [--jobs N] [--uploaded] [--bin DIR] [--json FILE] [-Dkey=value …]
       tests/support/with_etcd tests/bench/takeover_bench.py ...

Keyed counts at parallelism 1 on two TaskManagers, default settings, a checkpoint every second; the JobManagers elect their leader in a shared
folder, or in etcd where WEIR_TEST_ETCD is set (as with_etcd sets it). Milliseconds from the kill, by asking every few of them:

leads       until the standby answers as the leader
running     until all jobs are RUNNING there, with the tasks that they had
checkpoint  until each has completed a checkpoint there; up to a second of it is the checkpoints' interval

The tasks themselves go on all the time; `restored` counts jobs for which that was not so.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOMENTS = ("leads", "running", "checkpoint")


def submit(high_availability, cluster, leader, options):
    """Starts the jobs and waits until each has completed checkpoints."""
    if options.uploaded:
        library = leader.rest.upload(pathlib.Path(options.bin).parent / "lib/jobs/libexamples.so")
    else:
        library = high_availability.library_of(leader.rest, "keyed_count")
    jobs = [leader.rest.run(
        library, ["--records", 10**12, "--keys", 1000, "--rate", 1000, "--out", cluster.folder / f"out-{number}"],
        parallelism=1, entry="keyed_count", settings={"execution.checkpointing.interval": "1 s"})
        for number in range(options.jobs)]
    for job in jobs:
        high_availability.wait_for_checkpoint(leader.rest, job)
    return jobs


def measure(high_availability, options):
    """One kill: milliseconds by moment, and how many jobs were restored."""
    with high_availability.Cluster(2, [*high_availability.high_availability(), *options.settings],
                                   slots=(options.jobs + 1) // 2) as cluster:
        leader = cluster.start()
        jobs = submit(high_availability, cluster, leader, options)
        begin = time.monotonic()
        leader.end()
        leader = cluster.leader(but=leader)
        moments = {"leads": time.monotonic() - begin}
        for job in jobs:
            leader.rest.wait_for_state(job, "RUNNING", 120)
        moments["running"] = time.monotonic() - begin
        high_availability.wait_until("a checkpoint of each", lambda: all(
            leader.rest.completed_checkpoints(job) > 0 for job in jobs), 120)
        moments["checkpoint"] = time.monotonic() - begin
        restored = sum(leader.rest.restored(job) for job in jobs)
        return {name: seconds * 1000 for name, seconds in moments.items()} | {"restored": restored}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--uploaded", action="store_true", help="upload the jobs' library, so that they have processes of their own")
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"))
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("-D", dest="settings", action="append", default=[], help="key=value for all processes")
    options = parser.parse_args()
    os.environ["WEIR_TEST_BIN"] = options.bin
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    import high_availability_test as high_availability  # After WEIR_TEST_BIN, which it reads.

    place = "etcd" if os.environ.get("WEIR_TEST_ETCD") else "a shared folder"
    print(f"take-over after kill -9 of the leader, election in {place}, {options.jobs} jobs, milliseconds, {options.runs} runs", flush=True)
    print(f"{'run':>8}" + "".join(f"{name:>12}" for name in (*MOMENTS, "restored")))
    rows = []
    for number in range(1, options.runs + 1):
        rows.append(measure(high_availability, options))
        print(f"{number:>8}" + "".join(f"{rows[-1][name]:>12.0f}" for name in (*MOMENTS, "restored")), flush=True)
    median = {name: statistics.median(row[name] for row in rows) for name in (*MOMENTS, "restored")}
    print(f"{'median':>8}" + "".join(f"{median[name]:>12.0f}" for name in (*MOMENTS, "restored")))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"runs": rows, "median": median}, indent=1) + "\n")


if __name__ == "__main__":
    main()
