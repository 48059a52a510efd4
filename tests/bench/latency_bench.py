#!/usr/bin/env python3
"""How long after the record that closes a window its results are at the sink, as a table.

usage: tests/bench/latency_bench.py [--rates 1000,10000,100000] [--buffer-timeouts 1,5] [--seconds N] [--runs N] [--bin DIR]

The job counts records by key in tumbling windows of 100 ms of event time, parallelism 2, on one JobManager and two TaskManagers,
half of the records over TCP between them; a checkpoint every second. Records are due at fixed moments of the wall clock, also
their event time, and each source has one due at the very end of every window: latency is the time from there until a result
is at the sink, so the wait of a late source, of its batch, of the network and of a checkpoint are all in it. Every result of
every window counts, the last key's too. The first seconds are left out. Quantiles are exact to a sixteenth of their value.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/bench"))
QUANTILES = (0.5, 0.99, 0.999)


def merge(folder):
    """The histograms of all subtasks as one: [(largest value in microseconds, how many)], in order."""
    counts = {}
    for path in pathlib.Path(folder).glob("latency-*.json"):
        for value, count in json.loads(path.read_text())["buckets"]:
            counts[value] = counts.get(value, 0) + count
    return sorted(counts.items())


def quantile(buckets, part):
    total = sum(count for _, count in buckets)
    seen = 0
    for value, count in buckets:
        seen += count
        if seen >= part * total:
            return value
    return 0


def measure(arguments, rate, buffer_timeout_ms):
    """One run on a fresh cluster: quantiles in ms, the number of results, CPU seconds of all processes a second of the job."""
    with cluster.Cluster(task_managers=2, slots=1) as running, tempfile.TemporaryDirectory() as out:
        library = running.rest.upload(cluster.JOBS / "libwindow_latency.so")
        pids = [running.job_manager.pid, *(process.pid for process in running.task_managers)]
        before = processes.cpu_seconds(pids)
        job = running.rest.run(
            library, ["--rate", rate, "--seconds", arguments.seconds + arguments.warm_up, "--keys", arguments.keys,
                      "--window-ms", arguments.window_ms, "--warm-up-seconds", arguments.warm_up, "--out", out],
            parallelism=2, settings={"execution.buffer-timeout": f"{buffer_timeout_ms} ms",
                                     "execution.checkpointing.interval": "1 s"})
        running.rest.wait_for_state(job, "FINISHED", seconds=arguments.seconds + 120)
        checkpoints = running.rest.completed_checkpoints(job)
        cpu = (processes.cpu_seconds(pids) - before) / (arguments.seconds + arguments.warm_up)
        buckets = merge(out)
    if not buckets or checkpoints < arguments.seconds / 2:
        raise SystemExit(f"the job did not do what is measured: {len(buckets)} buckets, {checkpoints} checkpoints")
    return [quantile(buckets, part) / 1000 for part in QUANTILES] + [
        buckets[-1][0] / 1000, sum(count for _, count in buckets), cpu]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="1000,10000,100000", help="records a second, over both sources")
    parser.add_argument("--buffer-timeouts", default="1,5", help="milliseconds")
    parser.add_argument("--seconds", type=int, default=20, help="measured part of a run")
    parser.add_argument("--warm-up", type=int, default=3, help="seconds before it")
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--window-ms", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"))
    parser.add_argument("--json", help="file for all figures")
    arguments = parser.parse_args()
    os.environ["WEIR_TEST_BIN"] = arguments.bin
    os.environ.setdefault("WEIR_TEST_JOBS", str(pathlib.Path(arguments.bin).parent / "lib/test_jobs"))
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    global cluster, processes
    import cluster  # After WEIR_TEST_BIN, which it reads.
    import processes

    print(f"windows of {arguments.window_ms} ms, {arguments.keys} keys, checkpoint each second, "
          f"median of {arguments.runs} runs of {arguments.seconds} s")
    print(f"{'records/s':>10}{'buffer ms':>11}{'p50 ms':>9}{'p99 ms':>9}{'p99.9 ms':>10}{'max ms':>9}{'results':>10}{'cores':>7}")
    rows = []
    for rate in map(int, arguments.rates.split(",")):
        for timeout in map(int, arguments.buffer_timeouts.split(",")):
            runs = [measure(arguments, rate, timeout) for _ in range(arguments.runs)]
            p50, p99, p999, most, results, cores = (statistics.median(run[i] for run in runs) for i in range(6))
            print(f"{rate:>10,}{timeout:>11}{p50:>9.2f}{p99:>9.2f}{p999:>10.2f}{most:>9.2f}{results:>10.0f}{cores:>7.2f}", flush=True)
            rows.append({"rate": rate, "buffer_timeout_ms": timeout, "p50_ms": p50, "p99_ms": p99, "p99.9_ms": p999,
                         "max_ms": most, "results": results, "cores": cores, "runs": runs})
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
