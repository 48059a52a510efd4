#!/usr/bin/env python3
"""Resident memory of a TaskManager whose keyed state is larger than its memory, over time.

usage: tests/bench/large_state.py [--gibibytes 5] [--memory 1gb] [--seconds 120] [--states 16] [--value-bytes 1000]
                                  [--csv FILE] [--bin DIR]

One JobManager and one TaskManager with `taskmanager.memory.size` of --memory. A job makes keys in --states states until their
values, which do not compress, are --gibibytes, then changes them for --seconds, nine of ten times one of the hottest hundredth; each value is
checked when it is read. A checkpoint every ten seconds. Prints a line a second: resident memory and its peak, memory charged,
state on disk, records, checkpoints. Fails if resident memory was ever more than a tenth above --memory (and --slack-mebibytes, for runs so small
that the program itself counts), or if a value was wrong. Everything lies in a temporary folder (TMPDIR), removed at the end:
it takes about three times the state.
"""

import argparse
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/bench"))
UNITS = {"mb": 1, "gb": 1024}


def mebibytes_of(text):
    return float(text[:-2]) * UNITS[text[-2:].lower()]


def disk_mebibytes(folder):
    """What files below the folder take; one with several names counts once."""
    seen = {}
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(root, name))
            except FileNotFoundError:
                continue
            seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values()) / 2**20


def charged_mebibytes(rest):
    used = "Status.Flink.Memory.Managed.Used"
    manager = rest.task_managers()[0]["id"]
    return sum(float(metric["value"]) for metric in rest.get(f"/taskmanagers/{manager}/metrics?get={used}")) / 2**20


def records_of(rest, job):
    return max(vertex["metrics"].get("read-records", 0) for vertex in rest.get(f"/jobs/{job}")["vertices"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gibibytes", type=float, default=5)
    parser.add_argument("--memory", default="1gb")
    parser.add_argument("--seconds", type=float, default=120, help="of changes, after all keys are there")
    parser.add_argument("--states", type=int, default=16)
    parser.add_argument("--value-bytes", type=int, default=1000)
    parser.add_argument("--slack-mebibytes", type=float, default=0)
    parser.add_argument("--csv", type=pathlib.Path)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin")
    options = parser.parse_args()
    os.environ["WEIR_TEST_BIN"] = str(options.bin)
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    import cluster
    import processes

    keys = int(options.gibibytes * 2**30 / options.value_bytes)
    memory = mebibytes_of(options.memory)
    limit = memory * 1.1 + options.slack_mebibytes
    rows = []
    with cluster.Cluster(task_managers=1, slots=2, options=[f"taskmanager.memory.size={options.memory}", "taskmanager.isolation=none"]) as running:
        rest = running.rest
        library = rest.upload(cluster.JOBS / "liblarge_state.so")
        out = running.folder / "wrong"
        job = rest.run(library, ["--keys", keys, "--states", options.states, "--value-bytes", options.value_bytes, "--records", 1 << 40, "--out", out],
                       parallelism=2, settings={"execution.checkpointing.interval": "10 s"})
        rest.wait_for_state(job, "RUNNING")
        pid = running.task_managers[0].pid
        begin = time.monotonic()
        filled = None
        print("seconds  resident MiB  peak MiB  charged MiB  disk MiB  records  checkpoints", flush=True)
        while filled is None or time.monotonic() < filled + options.seconds:
            time.sleep(1)
            assert rest.state(job) == "RUNNING", rest.failures(job)
            records = records_of(rest, job)
            if filled is None and records >= keys:
                filled = time.monotonic()
            row = (time.monotonic() - begin, processes.resident_mebibytes(pid), processes.peak_mebibytes(pid),
                   charged_mebibytes(rest), disk_mebibytes(running.folder), records, rest.completed_checkpoints(job))
            rows.append(row)
            print("{:7.0f}  {:12.0f}  {:8.0f}  {:11.0f}  {:8.0f}  {:7}  {:11}".format(*row), flush=True)
        rest.cancel(job)
        rest.wait_for_state(job, "CANCELED", 120)
        wrong = cluster.committed_lines(out) if out.exists() else []
    if options.csv:
        options.csv.write_text("seconds,resident_mib,peak_mib,charged_mib,disk_mib,records,checkpoints\n" +
                               "".join(",".join(str(round(value, 1)) for value in row) + "\n" for row in rows))
    peak = max(row[2] for row in rows)
    print(f"{options.gibibytes} GiB of state, memory {memory:.0f} MiB: at most {peak:.0f} MiB resident "
          f"({100 * peak / memory:.0f} %), {len(wrong)} wrong values")
    if wrong:
        sys.exit(f"values are wrong: {list(wrong)[:3]}")
    if peak > limit:
        sys.exit(f"resident memory was more than {limit:.0f} MiB")


if __name__ == "__main__":
    main()
