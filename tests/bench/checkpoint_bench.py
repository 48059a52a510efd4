#!/usr/bin/env python3
"""What a checkpoint takes and uploads, over sizes of state and shares of it that change. Prints one table.

usage: tests/bench/checkpoint_bench.py [--state-mb 10,100] [--changes 0.1,1,10] [--checkpoints N] [--interval SECONDS] [--bin DIR]
       tests/support/with_s3 tests/bench/checkpoint_bench.py ...

A job keeps values of 500 bytes, which do not compress, by key, at parallelism 2 on one TaskManager. It is filled, and stopped with
a savepoint; started from that, it changes the given percentage of its keys, drawn at random, between two checkpoints. With an object store
(WEIR_TEST_S3_ENDPOINT, as with_s3 sets it) all is measured there as well. Medians over the checkpoints, but for what is uploaded, of which RocksDB
rewrites some from time to time: there it is the mean, and the largest.

sync       on the task's thread, of the slowest subtask: whole milliseconds, as REST has them
async      writing and uploading, of the slowest subtask
end        from trigger to completion, with the metadata
uploaded   what no checkpoint before it had, mean and largest
"""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
VALUE_BYTES = 500
ROW = "{:>7}  {:>8}  {:>8}  {:>8}  {:>8}  {:>8}  {:>11}  {:>10}  {:>10}  {:>11}"


def places(folder):
    """Yields (name, folder of checkpoints, settings)."""
    yield "folder", folder / "checkpoints", []
    endpoint = os.environ.get("WEIR_TEST_S3_ENDPOINT")
    if endpoint:
        yield "S3", f"s3://{os.environ['WEIR_TEST_S3_BUCKET']}/bench", [f"s3.endpoint={endpoint}", "s3.path.style.access=true"]


def details(rest, job, number):
    """Returns a completed checkpoint's milliseconds and bytes."""
    whole = rest.get(f"/jobs/{job}/checkpoints/details/{number}")
    subtasks = []
    for vertex in whole["tasks"]:
        subtasks += rest.get(f"/jobs/{job}/checkpoints/details/{number}/subtasks/{vertex}")["subtasks"]
    return {"sync": max(task["checkpoint"]["sync"] for task in subtasks),
            "async": max(task["checkpoint"]["async"] for task in subtasks),
            "end": whole["end_to_end_duration"], "size": whole["state_size"], "uploaded": whole["checkpointed_size"]}


def measure(cluster, running, state_mb, percent, options):
    """Fills a job and lets it change; returns the details of its checkpoints."""
    rest = running.rest
    library = rest.upload(cluster.JOBS / "liblarge_state.so")
    keys = max(100, int(state_mb * 1e6 / VALUE_BYTES))

    def run(rate, **request):
        arguments = ["--keys", keys, "--value-bytes", VALUE_BYTES, "--records", 1 << 40, "--hot-percent", 0, "--rate", rate,
                     "--out", running.folder / "wrong"]
        return rest.call("POST", f"/jars/{library}/run", {
            "programArgsList": [str(word) for word in arguments], "parallelism": 2,
            "flinkConfiguration": {"execution.checkpointing.interval": f"{options.interval} s",
                                   "state.checkpoints.num-retained": "3"}, **request})["jobid"]

    job = run(0)
    cluster.wait_until("all keys", lambda: max(
        vertex["metrics"].get("read-records", 0) for vertex in rest.get(f"/jobs/{job}")["vertices"]) >= keys, 600)
    savepoint = cluster.weir("stop", job, "--savepoint-path", f"{running.checkpoint_dir}-savepoints", "--rest", rest.address,
                             seconds=300).stdout.strip()
    job = run(keys * percent / 100 / options.interval, savepointPath=savepoint)
    rest.wait_for_state(job, "RUNNING", 120)
    measured, seen = [], set()
    # The first ones are about what the restore has changed.
    skipped = 2
    while len(measured) < options.checkpoints:
        time.sleep(min(0.2, options.interval / 4))
        assert rest.state(job) == "RUNNING", rest.failures(job)
        for checkpoint in reversed(rest.get(f"/jobs/{job}/checkpoints")["history"]):
            number = checkpoint["id"]
            if checkpoint["status"] != "COMPLETED" or checkpoint["is_savepoint"] or number in seen:
                continue
            seen.add(number)
            if len(seen) > skipped:
                measured.append(details(rest, job, number))
    rest.cancel(job)
    rest.wait_for_state(job, "CANCELED")
    cluster.weir("savepoint", "--dispose", savepoint, "--rest", rest.address)
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state-mb", default="10,100")
    parser.add_argument("--changes", default="0.1,1,10", help="percent of the keys between two checkpoints")
    parser.add_argument("--checkpoints", type=int, default=20, help="measured of each")
    parser.add_argument("--interval", type=float, default=1, help="seconds")
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"))
    options = parser.parse_args()
    os.environ["WEIR_TEST_BIN"] = options.bin
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    import cluster  # After WEIR_TEST_BIN, which it reads.

    print(ROW.format("", "state MB", "change %", "sync ms", "async ms", "end ms", "uploaded MB", "% of state", "largest MB",
                     "checkpoints"), flush=True)
    sizes = [float(size) for size in options.state_mb.split(",")]
    changes = [float(percent) for percent in options.changes.split(",")]
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        for place, checkpoints, settings in places(pathlib.Path(folder)):
            for state_mb in sizes:
                for percent in changes:
                    with cluster.Cluster(task_managers=1, slots=2, options=settings, checkpoint_dir=checkpoints) as running:
                        print_row(place, percent, measure(cluster, running, state_mb, percent, options))


def print_row(place, percent, measured):
    median = {what: statistics.median(one[what] for one in measured) for what in measured[0]}
    uploaded = statistics.mean(one["uploaded"] for one in measured)
    print(ROW.format(place, f"{median['size'] / 1e6:.1f}", f"{percent:g}", f"{median['sync']:.0f}", f"{median['async']:.0f}",
                     f"{median['end']:.0f}", f"{uploaded / 1e6:.2f}", f"{100 * uploaded / median['size']:.1f}",
                     f"{max(one['uploaded'] for one in measured) / 1e6:.2f}", len(measured)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
