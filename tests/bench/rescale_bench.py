#!/usr/bin/env python3
"""How long a job's output pauses while it is rescaled, by the size of its state. Prints a table.

usage: tests/bench/rescale_bench.py [--keys K,K…] [--steps P,P…] [--runs N] [--bin DIR] [--json FILE]

A keyed count under load, with 100 bytes of state a key, goes through the parallelisms of --steps on two TaskManagers. The gap is the longest
time without a record out of the count around a rescale, by the clock of the tasks themselves; downtime and its parts are those that the JobManager
keeps (GET /jobs/:jobid/rescales/history): the checkpoint, while the job still runs; stopping the tasks; slots; dividing and deploying;
restoring until all tasks run. What the gap is longer by is the first records on their way.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHASES = ("checkpoint", "stop", "slots", "deploy", "start")


def ticks_of(folder):
    """The milliseconds in which a record was put out, in order."""
    ticks = set()
    for path in pathlib.Path(folder).glob("*.ticks"):
        # The last line may be on its way.
        ticks.update(int(line) for line in path.read_text().split("\n")[:-1])
    return sorted(ticks)


def longest_gap(ticks, begin, end):
    inside = [tick for tick in ticks if begin - 1000 <= tick <= end + 5000]
    return max((after - before for before, after in zip(inside, inside[1:])), default=0)


def wait_for_parallelism(rest, job, parallelism):
    def reached():
        details = rest.get(f"/jobs/{job}")
        counts = details["status-counts"]
        return (details["state"] == "RUNNING" and counts["RUNNING"] == sum(counts.values())
                and details["vertices"][-1]["parallelism"] == parallelism)
    cluster.wait_until(f"parallelism {parallelism}", reached, 300)


def run(options, keys):
    """One row for each step."""
    steps = [int(step) for step in options.steps.split(",")]
    rows = []
    slots = (max(steps) + 1) // 2
    with cluster.Cluster(task_managers=2, slots=slots) as running, tempfile.TemporaryDirectory() as out:
        rest = running.rest
        job = rest.run(rest.upload(pathlib.Path(options.bin).parent / "lib/test_jobs/librescale_gap.so"),
                       ["--keys", keys, "--rate", options.rate, "--out", out], parallelism=steps[0],
                       settings={"execution.checkpointing.interval": "2 s"})
        # Keys come at random: after three times their number 95 % of them have come.
        def filled():
            vertices = rest.get(f"/jobs/{job}")["vertices"]
            return vertices[-1]["metrics"]["read-records"] >= 3 * keys
        cluster.wait_until("the state has its size", filled, 1800)
        for before, after in zip(steps, steps[1:]):
            # At a moment of its own between two checkpoints.
            done = rest.completed_checkpoints(job)
            cluster.wait_until("a checkpoint", lambda done=done: rest.completed_checkpoints(job) > done, 300)
            time.sleep(options.settle)
            wanted = rest.get(f"/jobs/{job}/resource-requirements")
            for vertex in wanted.values():
                vertex["parallelism"] = {"lowerBound": 1, "upperBound": after}
            rest.call("PUT", f"/jobs/{job}/resource-requirements", wanted)
            wait_for_parallelism(rest, job, after)

            def ended():
                newest = rest.get(f"/jobs/{job}/rescales/history")[0]
                return None if newest["terminalState"] == "IN_PROGRESS" else newest
            rescale = cluster.wait_until("the rescale has ended", ended)
            assert rescale["terminalState"] == "COMPLETED", rescale
            time.sleep(options.settle)
            parts = {phase: 0 for phase in PHASES}
            for part in rescale["schedulerStates"]:
                parts[part["phase"]] += part["durationInMillis"]
            latest = rest.get(f"/jobs/{job}/checkpoints")["latest"]["completed"]
            rows.append({"keys": keys, "before": before, "after": after, "state_bytes": latest["state_size"],
                         "gap_ms": longest_gap(ticks_of(out), rescale["startTimestampInMillis"],
                                               rescale["endTimestampInMillis"]),
                         "downtime_ms": rescale["downtimeInMillis"], **{f"{phase}_ms": parts[phase] for phase in PHASES}})
        rest.cancel(job)
        rest.wait_for_state(job, "CANCELED")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", default="10000,1000000", help="numbers of keys, 100 bytes of state each")
    parser.add_argument("--steps", default="1,2,4,3", help="parallelisms, one after the other")
    parser.add_argument("--rate", type=int, default=100_000, help="records a second")
    parser.add_argument("--settle", type=float, default=1, help="seconds before and after each rescale")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"))
    parser.add_argument("--json", help="file for all figures")
    options = parser.parse_args()
    os.environ["WEIR_TEST_BIN"] = options.bin
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    global cluster
    import cluster  # After WEIR_TEST_BIN, which it reads.

    print(f"keyed count under {options.rate:,} records/s, two TaskManagers, median of {options.runs} runs; milliseconds")
    print(f"{'keys':>10}{'MiB':>7}{'step':>9}{'gap':>7}{'downtime':>10}" + "".join(f"{phase:>12}" for phase in PHASES))
    results = []
    for keys in map(int, options.keys.split(",")):
        runs = [run(options, keys) for _ in range(options.runs)]
        for same in zip(*runs):
            row = {name: statistics.median(one[name] for one in same) for name in same[0]}
            results.append(row)
            step = f"{row['before']} → {row['after']}"
            print(f"{keys:>10,}{row['state_bytes'] / 2**20:>7.1f}{step:>9}{row['gap_ms']:>7.0f}{row['downtime_ms']:>10.0f}"
                  + "".join(f"{row[f'{phase}_ms']:>12.0f}" for phase in PHASES), flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
