#!/usr/bin/env python3
"""How weir scales on this machine: slots, many small jobs, keys. Prints three tables.

usage: tests/bench/scaling_bench.py [slots] [jobs] [keys] [--bin DIR] [--json FILE] …

slots: one TaskManager, a keyed count on 1 and on 2 slots: what the second core brings.
jobs:  1, 100 and 1,000 jobs on one TaskManager: idle ones, whose source has nothing, and tiny ones, of ten records a second; resident
       memory and CPU of the processes once all run, and what one job more costs.
keys:  a keyed count over 10^4 to 10^7 keys (--max-keys 8 for 10^8), two records a key and at least 10 million, a checkpoint every
       second: what a record costs as state grows, what state takes, and how long a checkpoint of it takes.
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
sys.path.insert(0, str(ROOT / "tests/bench"))


def run_count(running, arguments, parallelism, interval="1 s"):
    """Runs the keyed count to its end: wall seconds, CPU seconds, the job's id."""
    pids = [running.job_manager.pid, *(process.pid for process in running.task_managers)]
    before = processes.cpu_seconds(pids)
    begin = time.monotonic()
    job = running.rest.run(cluster.library_of(running.rest, "keyed_count"), arguments, parallelism=parallelism,
                           entry="keyed_count", settings={"execution.checkpointing.interval": interval})
    running.rest.wait_for_state(job, "FINISHED", seconds=3600)
    return time.monotonic() - begin, processes.cpu_seconds(pids) - before, job


def bench_slots(options):
    records = int(options.records * 10e6)  # So many that the job's start does not count.
    print(f"\nkeyed count, 100,000 keys, {records:,} records, one TaskManager, median of {options.runs} runs")
    print(f"{'slots':>6}{'wall s':>9}{'CPU s':>9}{'M rec/s':>10}{'M rec/CPU-s':>13}{'speed-up':>10}")
    rows = []
    for slots in (1, 2):
        runs = []
        for _ in range(options.runs):
            # As many workers as slots: with more, one slot's tasks would use both cores.
            with cluster.Cluster(task_managers=1, slots=slots, options=[f"taskmanager.worker-threads={slots}"]) as running, \
                    tempfile.TemporaryDirectory() as out:
                runs.append(run_count(running, ["--records", records, "--keys", 100000, "--out", out], slots)[:2])
        wall, cpu = (statistics.median(run[i] for run in runs) for i in range(2))
        rows.append({"slots": slots, "wall_seconds": wall, "cpu_seconds": cpu, "records": records})
        print(f"{slots:>6}{wall:>9.2f}{cpu:>9.2f}{records / wall / 1e6:>10.2f}{records / cpu / 1e6:>13.2f}"
              f"{rows[0]['wall_seconds'] / wall:>9.2f}×", flush=True)
    return rows


def start_jobs(running, count, rate, interval, out):
    """Starts jobs until `count` run; returns their ids."""
    library = cluster.library_of(running.rest, "keyed_count")
    # An idle job's first record would be due in a few months.
    arguments = ["--records", 1000000, "--keys", 10, "--rate", rate or 1e-7, "--out", out]
    jobs = [running.rest.run(library, arguments, parallelism=1, entry="keyed_count",
                             settings={"execution.checkpointing.interval": interval}) for _ in range(count)]

    def all_run():
        states = [job["state"] for job in running.rest.get("/jobs/overview")["jobs"]]
        return states.count("RUNNING") == count
    cluster.wait_until(f"{count} jobs running", all_run, seconds=600)
    return jobs


def bench_jobs(options):
    print(f"\nmany jobs on one TaskManager, parallelism 1, checkpoint every {options.interval}; CPU over {options.seconds} s, of one core")
    print(f"{'':>6}{'':<6}{'TaskManager':^36}{'JobManager':^27}{'one job more':^30}")
    print(f"{'jobs':>6} {'kind':<6}{'start s':>9}{'MiB':>8}{'CPU %':>8}{'threads':>9}{'MiB':>10}{'CPU %':>8}{'threads':>9}"
          f"{'TM KiB':>9}{'JM KiB':>9}{'CPU %':>9}")
    rows = []
    for kind, rate in (("idle", 0), ("tiny", 10)):
        base = None
        for count in map(int, options.jobs.split(",")):
            with cluster.Cluster(task_managers=1, slots=max(2, count)) as running, tempfile.TemporaryDirectory() as out:
                pids = {"tm": running.task_managers[0].pid, "jm": running.job_manager.pid}
                begin = time.monotonic()
                start_jobs(running, count, rate, options.interval, out)
                started = time.monotonic() - begin
                time.sleep(options.settle)
                before = {name: processes.cpu_seconds([pid]) for name, pid in pids.items()}
                time.sleep(options.seconds)
                row = {"jobs": count, "kind": kind, "start_seconds": started}
                for name, pid in pids.items():
                    row[f"{name}_cpu"] = (processes.cpu_seconds([pid]) - before[name]) / options.seconds
                    row[f"{name}_mebibytes"] = processes.resident_mebibytes(pid)
                    row[f"{name}_threads"] = processes.num_threads(pid)
            rows.append(row)
            line = (f"{count:>6} {kind:<6}{started:>9.1f}{row['tm_mebibytes']:>8.0f}{100 * row['tm_cpu']:>8.1f}{row['tm_threads']:>9}"
                    f"{row['jm_mebibytes']:>10.0f}{100 * row['jm_cpu']:>8.1f}{row['jm_threads']:>9}")
            if base is None:
                base = row
            else:
                more = count - base["jobs"]
                for name in pids:
                    row[f"{name}_kibibytes_a_job"] = (row[f"{name}_mebibytes"] - base[f"{name}_mebibytes"]) * 1024 / more
                row["cpu_a_job"] = sum(row[f"{name}_cpu"] - base[f"{name}_cpu"] for name in pids) / more
                line += (f"{row['tm_kibibytes_a_job']:>9.0f}{row['jm_kibibytes_a_job']:>9.0f}{100 * row['cpu_a_job']:>9.3f}")
            print(line, flush=True)
    return rows


def bench_keys(options):
    print(f"\nkeyed count by number of keys, parallelism 2, checkpoint every second, median of {options.runs} runs")
    print(f"{'keys':>12}{'records':>13}{'wall s':>9}{'CPU s':>9}{'M rec/CPU-s':>13}{'peak MiB':>10}{'B a key':>9}"
          f"{'checkpoint ms':>15}{'MiB':>8}")
    rows = []
    for exponent in range(options.min_keys, options.max_keys + 1):
        keys = 10 ** exponent
        records = max(int(options.records * 1e6 / 2), 2 * keys)
        runs = []
        for _ in range(options.runs):
            with cluster.Cluster(task_managers=1, slots=2, options=options.set) as running, tempfile.TemporaryDirectory() as out:
                idle = processes.resident_mebibytes(running.task_managers[0].pid)
                wall, cpu, job = run_count(running, ["--records", records, "--keys", keys, "--out", out], 2)
                checkpoints = running.rest.get(f"/jobs/{job}/checkpoints")["summary"]
                runs.append((wall, cpu, processes.peak_mebibytes(running.task_managers[0].pid), idle,
                             checkpoints["end_to_end_duration"]["max"], checkpoints["state_size"]["max"] / 2**20))
        wall, cpu, peak, idle, duration, size = (statistics.median(run[i] for run in runs) for i in range(6))
        rows.append({"keys": keys, "records": records, "wall_seconds": wall, "cpu_seconds": cpu, "peak_mebibytes": peak,
                     "longest_checkpoint_ms": duration, "largest_checkpoint_mebibytes": size})
        print(f"{keys:>12,}{records:>13,}{wall:>9.2f}{cpu:>9.2f}{records / cpu / 1e6:>13.2f}{peak:>10.0f}"
              f"{(peak - idle) * 2**20 / keys:>9.0f}{duration:>15.0f}{size:>8.1f}", flush=True)
    return rows


BENCHES = {"slots": bench_slots, "jobs": bench_jobs, "keys": bench_keys}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="slots|jobs|keys", help="all three without any")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--records", type=float, default=20, help="millions of records of the keyed counts")
    parser.add_argument("--jobs", default="1,100,1000", help="numbers of jobs")
    parser.add_argument("--interval", default="10 s", help="between the checkpoints of one of many jobs")
    parser.add_argument("--seconds", type=int, default=20, help="time over which the CPU of many jobs is measured")
    parser.add_argument("--settle", type=int, default=15, help="seconds between the last job's start and that")
    parser.add_argument("--min-keys", type=int, default=4, help="exponent of the smallest number of keys")
    parser.add_argument("--max-keys", type=int, default=7, help="exponent of the largest number of keys")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the processes, for keys")
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"))
    parser.add_argument("--json", help="file for all figures")
    options = parser.parse_args()
    unknown = [name for name in options.tables if name not in BENCHES]
    if unknown:
        parser.error(f"no such table: {unknown[0]}; there are {', '.join(BENCHES)}")
    os.environ["WEIR_TEST_BIN"] = options.bin
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    global cluster, processes
    import cluster  # After WEIR_TEST_BIN, which it reads.
    import processes

    results = {name: BENCHES[name](options) for name in options.tables or BENCHES}
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
