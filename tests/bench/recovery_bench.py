#!/usr/bin/env python3
"""How long a job stands still when a TaskManager is killed (-9), with a slot to spare elsewhere. Prints one table.

usage: tests/bench/recovery_bench.py [--state-mb N] [--runs N] [--uploaded [--kill-process]] [--bin DIR] [--json FILE] [-Dkey=value …]

A keyed count on two of three TaskManagers of one slot each, default settings, with a checkpoint every second. Once its state has the
size asked for, the TaskManager that runs subtask 1 is killed, and the JobManager is asked every few milliseconds how far it is:

detect   from the kill until the job is RESTARTING
cancel   until the tasks that are left have ended and the restart strategy's delay is over
deploy   until every task is INITIALIZING: slots, the checkpoint's metadata, the library and its Build on the spare TaskManager;
         with --uploaded, which has the job run in processes of its own, also the start of that
restore  until every task is RUNNING
total    all of these
record   from the kill until the count has read a record; the JobManager hears of that by heartbeat, so up to a second late
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import sys
import tempfile
import time

import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHASES = ("detect", "cancel", "deploy", "restore", "total", "record")
# What a key takes in a checkpoint, roughly; how much it was is measured.
BYTES_PER_KEY = 25


def state_bytes(rest, job):
    completed = rest.get(f"/jobs/{job}/checkpoints")["latest"]["completed"]
    return completed["state_size"] if completed else 0


def subtasks(rest, job, vertices):
    """All subtasks, the sources' first."""
    return [subtask for vertex in vertices for subtask in rest.get(f"/jobs/{job}/vertices/{vertex}")["subtasks"]]


def fill_state(rest, job, wanted):
    """Waits until a checkpoint has `wanted` bytes of state, or has stopped growing."""
    sizes = []

    def full():
        sizes.append(state_bytes(rest, job))
        return sizes[-1] >= wanted or (len(sizes) > 100 and sizes[-1] > 0 and sizes[-100] >= 0.999 * sizes[-1])
    while not full():
        time.sleep(0.1)
    return sizes[-1]


def measure(options):
    """One kill: milliseconds by phase, and bytes of state."""
    with cluster.Cluster(task_managers=3, slots=1, options=options.settings) as running, tempfile.TemporaryDirectory() as out:
        rest = running.rest
        keys = max(100, int(options.state_mb * 1e6 / BYTES_PER_KEY))
        library = (rest.upload(pathlib.Path(options.bin).parent / "lib/jobs/libexamples.so") if options.uploaded
                   else cluster.library_of(rest, "keyed_count"))
        job = rest.run(library,
                       ["--records", 10**12, "--keys", keys, "--rate", options.rate, "--out", out],
                       parallelism=2, entry="keyed_count", settings={"execution.checkpointing.interval": "1 s"})
        rest.wait_for_state(job, "RUNNING")
        size = fill_state(rest, job, options.state_mb * 1e6)
        vertices = [vertex["id"] for vertex in rest.get(f"/jobs/{job}")["vertices"]]
        victim = subtasks(rest, job, vertices)[1]["endpoint"].rsplit(":", 1)[1]
        done = rest.completed_checkpoints(job)
        cluster.wait_until("a checkpoint", lambda: rest.completed_checkpoints(job) > done)
        index = next(i for i, process in enumerate(running.task_managers)
                     if f"data_port={victim} " in pathlib.Path(running.folder / f"taskmanager-{i + 1}.log").read_text())
        def kill():
            if options.kill_process:
                for process in processes.children_of(running.task_managers[index].pid):
                    # The one in reserve for other jobs does not count.
                    if job.encode() in pathlib.Path(f"/proc/{process}/cmdline").read_bytes():
                        os.kill(process, signal.SIGKILL)
            else:
                running.kill_task_manager(index)
        phases = watch(rest, job, vertices, kill)
        rest.cancel(job)
        rest.wait_for_state(job, "CANCELED")
        return phases, size


def watch(rest, job, vertices, kill):
    def told(status, after):
        """When the job became `status` after the kill; in epoch seconds, None if it has not."""
        at = rest.get(f"/jobs/{job}")["timestamps"][status] / 1000
        return at if at >= after else None

    begin = time.time()
    kill()
    # The JobManager's timestamps are whole milliseconds, cut off.
    restarting = cluster.wait_until("RESTARTING", lambda: told("RESTARTING", begin - 0.001))
    created = cluster.wait_until("CREATED", lambda: told("CREATED", restarting))
    initializing = running = None
    while running is None:
        tasks = subtasks(rest, job, vertices)
        now = time.time()
        states = {task["status"] for task in tasks if task["attempt"] > 0}
        all_new = all(task["attempt"] > 0 for task in tasks)
        if all_new and states <= {"INITIALIZING", "RUNNING"}:
            initializing = initializing or now
            running = now if states == {"RUNNING"} else None
        assert now - begin < 120, f"the job does not run again: {states}"
    count = vertices[1]
    cluster.wait_until("a record", lambda: any(
        task["metrics"]["read-records"] > 0 for task in rest.get(f"/jobs/{job}/vertices/{count}")["subtasks"]))
    record = time.time()
    moments = (begin, restarting, created, initializing, running)
    phases = dict(zip(PHASES, ((later - earlier) * 1000 for earlier, later in zip(moments, moments[1:]))))
    phases["total"] = (running - begin) * 1000
    phases["record"] = (record - begin) * 1000
    return phases


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--state-mb", type=float, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1_000_000, help="records a second while the state grows and after")
    parser.add_argument("--uploaded", action="store_true", help="upload the job's library")
    parser.add_argument("--kill-process", action="store_true", help="kill the job's process instead of the TaskManager")
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"))
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("-D", dest="settings", action="append", default=[], help="key=value for all processes")
    options = parser.parse_args()
    os.environ["WEIR_TEST_BIN"] = options.bin
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    global cluster
    import cluster  # After WEIR_TEST_BIN, which it reads.

    print(f"recovery from kill -9, milliseconds, {options.runs} runs", flush=True)
    print(f"{'run':>8}{'state MB':>10}" + "".join(f"{name:>9}" for name in PHASES))
    rows = []
    for number in range(1, options.runs + 1):
        phases, size = measure(options)
        rows.append({"state_bytes": size, **phases})
        print(f"{number:>8}{size / 1e6:>10.1f}" + "".join(f"{phases[name]:>9.0f}" for name in PHASES), flush=True)
    median = {name: statistics.median(row[name] for row in rows) for name in ("state_bytes", *PHASES)}
    print(f"{'median':>8}{median['state_bytes'] / 1e6:>10.1f}" + "".join(f"{median[name]:>9.0f}" for name in PHASES))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"runs": rows, "median": median}, indent=1) + "\n")


if __name__ == "__main__":
    main()
