#!/usr/bin/env python3
"""Throughput of whole jobs on a cluster of one JobManager and two TaskManagers, as a table.

usage: tests/bench/cluster_bench.py [--runs N] [--records MILLIONS] [--metrics | --shuffle] [--bin DIR]

keyed count: generator → key by → count, half of the records over TCP between the TaskManagers.
distinct:    JSON lines from a file → parse → 60 s tumbling window, distinct destinations per source.

metrics:     with --metrics, instead of these: the keyed count of 1,000 keys with all metrics on (latency markers and a
             scrape of every process each second) and with nothing told to anyone.
shuffle:     with --shuffle, instead of these: the keyed count of 1,000 keys with buffer timeouts of 5 and 100 ms, and
             both jobs with and without compression between the TaskManagers.

Each figure is the median of the runs; CPU seconds are user and system time of all three processes while the job ran.
A checkpoint is taken every second, as by default. Nothing is asserted: the table is what this machine did today.
"""

import argparse
import contextlib
import os
import pathlib
import random
import re
import statistics
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


def write_connections(path, lines, seed=42):
    """Connection records of ten minutes: 5,000 sources with a few peers each, 50 of them scanners."""
    rng = random.Random(seed)
    sources = [f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in range(256, 5256)]
    peers = [[f"172.16.{n >> 8}.{n & 255}" for n in rng.sample(range(20000), rng.randint(1, 6))] for _ in sources]
    with open(path, "w", encoding="ascii") as out:
        for i in range(lines):
            seconds = 1767225600 + 600 * i / lines + rng.random() * 2
            if rng.random() < 0.02:
                source = sources[rng.randrange(50)]
                destination = f"192.168.{rng.randrange(256)}.{rng.randrange(256)}"
            else:
                k = int(len(sources) * rng.random() ** 1.5)
                source = sources[k]
                destination = rng.choice(peers[k])
            out.write(f'{{"ts":{seconds:.6f},"src_ip":"{source}","dst_ip":"{destination}",'
                      f'"dst_port":{rng.choice((53, 80, 443, 445, 3389))},"bytes_out":{rng.randrange(1000000)}}}\n')


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mebibytes(pids):
    peaks = []
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                peaks.append(int(line.split()[1]) / 1024)
    return max(peaks)


class Scraper:
    """Reads the metrics of a cluster's processes each second, as Prometheus does, until it is closed."""

    def __init__(self, running, names):
        logs = [(running.folder / f"{name}.log").read_text() for name in names]
        self._ports = [re.search(r"metrics_port=(\d+)", log)[1] for log in logs]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.wait(1):
            for port in self._ports:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                    answer.read()

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


ALL_METRICS = ["metrics.latency.interval=1 s", "metrics.reporter.prom.port=0"]
NO_METRICS = ["metrics.latency.interval=0 ms", "metrics.fetcher.update-interval=1 h", "metrics.reporter.prom.port="]


def measure(entry, arguments, records, options=(), scraped=False):
    """One run on a fresh cluster: wall seconds, CPU seconds, peak memory of the largest TaskManager."""
    with cluster_module.Cluster(task_managers=2, slots=2, options=options) as cluster, tempfile.TemporaryDirectory() as out:
        cluster.wait_for_task_managers(2)
        pids = [cluster.job_manager.pid, *(process.pid for process in cluster.task_managers)]
        scraper = Scraper(cluster, [name for name, _ in cluster.processes]) if scraped else contextlib.nullcontext()
        before = cpu_seconds(pids)
        begin = time.monotonic()
        with scraper:
            job = cluster.rest.run(cluster_module.library_of(cluster.rest, entry), [*arguments, "--out", out],
                                   parallelism=2, entry=entry)
            cluster.rest.wait_for_state(job, "FINISHED", seconds=600)
        wall = time.monotonic() - begin
        return wall, cpu_seconds(pids) - before, peak_mebibytes(pids), records


def compare(runs, variants):
    """Reports (name, what measure takes) of each variant; returns its median CPU seconds. Runs alternate, so that what
    the machine does besides meets all alike."""
    figures = [[] for _ in variants]
    for _ in range(runs):
        for (_, arguments), of_variant in zip(variants, figures):
            of_variant.append(measure(**arguments))
    for (name, _), of_variant in zip(variants, figures):
        report(name, of_variant)
    return [statistics.median(run[1] for run in of_variant) for of_variant in figures]


def compare_metrics(runs, counted):
    count = {"entry": "keyed_count", "arguments": ["--records", str(counted), "--keys", "1000"], "records": counted}
    off, on = compare(runs, [("no metrics", {**count, "options": NO_METRICS}),
                             ("all metrics", {**count, "options": ALL_METRICS, "scraped": True})])
    print(f"all metrics cost {100 * (on / off - 1):.1f} % CPU")


def compare_shuffles(runs, counted, path, lines):
    count = {"entry": "keyed_count", "arguments": ["--records", str(counted), "--keys", "1000"], "records": counted}
    distinct = {"entry": "distinct_destinations", "arguments": ["--input", str(path)], "records": lines}
    compare(runs, [(f"keyed count, buffer timeout {ms} ms", {**count, "options": [f"execution.buffer-timeout={ms} ms"]})
                   for ms in (5, 100)])
    for name, job in (("keyed count", count), ("JSON lines", distinct)):
        compare(runs, [(f"{name}, compression {codec}",
                        {**job, "options": [f"taskmanager.network.compression.codec={codec}"]})
                       for codec in ("NONE", "LZ4")])


def report(name, runs):
    wall, cpu, peak = (statistics.median(run[i] for run in runs) for i in range(3))
    records = runs[0][3]
    print(f"{name:<34}{records / 1e6:>9.1f}{wall:>9.2f}{cpu:>9.2f}{records / wall / 1e6:>12.2f}"
          f"{records / cpu / 1e6:>16.2f}{peak:>11.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--records", type=float, default=20, help="millions of records of the keyed count")
    parser.add_argument("--metrics", action="store_true", help="only what metrics cost")
    parser.add_argument("--shuffle", action="store_true", help="only buffer timeouts and compression")
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"))
    arguments = parser.parse_args()
    os.environ["WEIR_TEST_BIN"] = arguments.bin
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    global cluster_module
    import cluster as cluster_module  # After WEIR_TEST_BIN, which it reads.

    counted = int(arguments.records * 1e6)
    lines = max(1000, counted // 5)
    print(f"two TaskManagers, parallelism 2, checkpoint each second, median of {arguments.runs} runs")
    print(f"{'job':<34}{'M rec':>9}{'wall s':>9}{'CPU s':>9}{'M rec/s':>12}{'M rec/CPU-s':>16}{'peak MiB':>11}")
    if arguments.metrics:
        compare_metrics(arguments.runs, counted)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "connections.ndjson"
        write_connections(path, lines)
        if arguments.shuffle:
            compare_shuffles(arguments.runs, counted, path, lines)
            return
        for keys in (1000, 1000000):
            runs = [measure("keyed_count", ["--records", str(counted), "--keys", str(keys)], counted)
                    for _ in range(arguments.runs)]
            report(f"keyed count, {keys:,} keys", runs)
        runs = [measure("distinct_destinations", ["--input", str(path)], lines) for _ in range(arguments.runs)]
        report("JSON lines, 60 s distinct", runs)


if __name__ == "__main__":
    main()
