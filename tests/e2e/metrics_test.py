"""Metrics of a running cluster: by REST, on each process's Prometheus endpoint by Flink's names, and in a real Prometheus.

The names are compared with those recorded from Flink, and the values with each other.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import cluster

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared"
NAMES = SHARED / "contracts" / "flink-rest" / "prometheus-names.txt"
PROMETHEUS = SHARED / "services" / "prometheus"
MIN_WATERMARK = -(1 << 63)

# Names of Flink that weir has not, and why.
MISSING = {
    # Of states that the job of this test does not have, and sizes of keys and values by access.
    r"flink_taskmanager_job_task_operator_state_name_.*",
    r"flink_jobmanager_job_lastCheckpointMetadataSize",
    # Of each split; REST tells which one holds event time back, and since when.
    r"flink_taskmanager_job_task_operator_split_watermark_.*",
    # Of operators that the job of this test does not have: sinks that count bytes.
    r"flink_taskmanager_job_task_operator_numRecordsInErrors",
    r"flink_taskmanager_job_task_operator_numBytesSend",
    # Timers are counted by no one yet.
    r"flink_taskmanager_job_task_numFiredTimers(PerSecond)?",
    # Of windows.
    r"flink_taskmanager_job_task_operator_numLateRecordsDropped",
    r"flink_taskmanager_job_task_operator_numRecordsOutErrors",
}

# What Flink's autoscaler asks for (section 3 of rest.md), by where.
AUTOSCALER_VERTEX = ["busyTimeMsPerSecond", "backPressuredTimeMsPerSecond", "numRecordsInPerSecond"]
AUTOSCALER_SOURCE = ["numRecordsIn", "numRecordsInPerSecond", "numRecordsOut", "numRecordsOutPerSecond"]
AUTOSCALER_TASK_MANAGER = [
    "Status.JVM.Memory.Heap.Max", "Status.JVM.Memory.Heap.Used", "Status.Flink.Memory.Managed.Used",
    "Status.JVM.Memory.Metaspace.Used", "Status.JVM.GarbageCollector.All.TimeMsPerSecond"]
AUTOSCALER_JOB_MANAGER = ["taskSlotsTotal", "taskSlotsAvailable"]


class Feeder(threading.Thread):
    """Appends network events of half a minute ago to a file."""

    DELAY_SECONDS = 30

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.stopped = threading.Event()

    def run(self):
        number = 0
        with open(self.path, "w", encoding="ascii") as out:
            while not self.stopped.wait(0.02):
                for _ in range(20):
                    number += 1
                    out.write(json.dumps({
                        "ts": int((time.time() - self.DELAY_SECONDS) * 1000), "src_ip": f"10.0.0.{number % 200}",
                        "dest_ip": "10.1.0.1", "dest_port": 1000 + number % 50}) + "\n")
                out.flush()


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers
        return answer.read().decode()


def families(text):
    """Returns the families of a scrape with their types; fails on a line that is not of the format."""
    types = {}
    current = None
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert current not in types, f"twice: {current}"
            types[current] = kind
            continue
        sample = re.fullmatch(r'([a-zA-Z_:][\w:]*)(\{(?:\w+="[^"\\]*",?)*\})? (\S+)', line)
        assert sample, f"not of the text format: {line}"
        assert sample[1].startswith(current), f"outside of its family {current}: {line}"
        float(sample[3])
    return types


def metrics_port(running, name):
    match = re.search(r"metrics_port=(\d+)", (running.folder / f"{name}.log").read_text())
    assert match and match[1] != "0", f"{name} serves no metrics"
    return int(match[1])


def names_of(answer):
    return [metric["id"] for metric in answer]


def values_of(answer):
    return {metric["id"]: float(metric["value"]) for metric in answer}


def check_names(found):
    if not NAMES.exists():
        print(f"SKIPPED: the comparison with Flink's names, for there is no {NAMES}", file=sys.stderr)
        return
    recorded = dict(line.split() for line in NAMES.read_text().splitlines() if line.strip())
    missing = []
    for name, kind in recorded.items():
        if name in found:
            assert found[name] == kind, f"{name} is a {found[name]}, in Flink a {kind}"
        elif not any(re.fullmatch(pattern, name) for pattern in MISSING):
            missing.append(name)
    assert not missing, f"names of Flink that are not there: {missing}"
    print(f"{sum(name in found for name in recorded)} of Flink's {len(recorded)} names, {len(found)} in all")


def check_rest(rest, job):
    vertices = rest.get(f"/jobs/{job}")["vertices"]
    source = next(vertex for vertex in vertices if vertex["name"].startswith("Source"))
    for vertex in vertices:
        base = f"/jobs/{job}/vertices/{vertex['id']}"
        parallelism = vertex["parallelism"]
        # H5: the three add up to the time that passed.
        for subtask in range(parallelism):
            times = values_of(rest.get(
                f"{base}/subtasks/{subtask}/metrics?get=busyTimeMsPerSecond,idleTimeMsPerSecond,"
                "backPressuredTimeMsPerSecond"))
            assert len(times) == 3 and 950 <= sum(times.values()) <= 1050, (vertex["name"], subtask, times)
        # B7: a watermark per subtask, the same one here and there.
        watermarks = rest.get(f"{base}/watermarks")
        assert names_of(watermarks) == [f"{subtask}.currentInputWatermark" for subtask in range(parallelism)]
        aggregated = rest.get(f"{base}/subtasks/metrics?get=" + ",".join(AUTOSCALER_VERTEX))
        assert names_of(aggregated) == AUTOSCALER_VERTEX, aggregated
        assert all({"min", "max", "avg", "sum", "skew"} < set(metric) for metric in aggregated)
        names = names_of(rest.get(f"{base}/metrics"))
        assert all(name.split(".")[0].isdigit() for name in names)
        assert len(names) == len(set(names)), "a name twice"
    # N2.
    names = names_of(rest.get(f"/jobs/{job}/vertices/{source['id']}/subtasks/metrics"))
    for wanted in AUTOSCALER_SOURCE:
        assert any(name.startswith("Source__") and name.endswith(f".{wanted}") for name in names), (wanted, names)
    assert names_of(rest.get("/taskmanagers/metrics?get=" + ",".join(AUTOSCALER_TASK_MANAGER))) == \
        AUTOSCALER_TASK_MANAGER
    manager = urllib.parse.quote(rest.task_managers()[0]["id"])
    assert values_of(rest.get(f"/taskmanagers/{manager}/metrics?get=Status.JVM.Memory.Heap.Used"))[
        "Status.JVM.Memory.Heap.Used"] > 1 << 20
    assert values_of(rest.get("/jobmanager/metrics?get=" + ",".join(AUTOSCALER_JOB_MANAGER))) == {
        "taskSlotsTotal": 4, "taskSlotsAvailable": 2}
    of_job = values_of(rest.get(f"/jobs/{job}/metrics?get=numRestarts,uptime,numberOfCompletedCheckpoints"))
    assert of_job["numRestarts"] == 0 and of_job["uptime"] > 0 and of_job["numberOfCompletedCheckpoints"] > 0
    assert rest.get("/jobs/" + "0" * 31 + "1/metrics") == []


def check_states(rest, job, found):
    """What each keyed state holds and does, by both ways."""
    for name in ["numEntries", "memoryBytes", "tableHits", "evictions", "rocksdbGets", "rocksdb_estimate_live_data_size"]:
        assert f"flink_taskmanager_job_task_operator_state_name_{name}" in found, name
    counted = {}
    for vertex in rest.get(f"/jobs/{job}")["vertices"]:
        base = f"/jobs/{job}/vertices/{vertex['id']}/subtasks/metrics"
        for name in names_of(rest.get(base)):
            if re.search(r"\.state_name\..+\.numEntries$", name):
                counted[name] = rest.get(f"{base}?get={urllib.parse.quote(name)}&agg=sum")[0]["sum"]
    assert any(count > 0 for count in counted.values()), counted
    print(f"{len(counted)} keyed states")


def check_event_time(rest, job):
    """The known delay of the events is what the first operator that knows their time says (N5 in the large)."""
    vertices = rest.get(f"/jobs/{job}")["vertices"]

    def delays():
        lags = []
        for vertex in vertices:
            for mark in rest.get(f"/jobs/{job}/vertices/{vertex['id']}/watermarks"):
                value = int(mark["value"])
                if value != MIN_WATERMARK and value < 1 << 62:
                    lags.append(time.time() - value / 1000)
        return lags

    lags = cluster.wait_until("watermarks come", delays)
    assert all(Feeder.DELAY_SECONDS - 1 < lag < Feeder.DELAY_SECONDS + 20 for lag in lags), lags


def check_real_prometheus(ports):
    if not PROMETHEUS.exists():
        print(f"SKIPPED: a real Prometheus, for there is no {PROMETHEUS}", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SERVICES_DIR": folder}
        scrapes = [argument for port in ports for argument in ("--scrape", str(port))]

        def run(*arguments):
            return subprocess.run([str(PROMETHEUS), *arguments], env=environment, capture_output=True, text=True,
                                  timeout=200, check=False)

        port = free_port()
        started = run("start", "--port", str(port), *scrapes)
        if started.returncode != 0:
            print(f"SKIPPED: Prometheus did not start: {started.stderr}", file=sys.stderr)
            return
        try:
            def result(expression):
                answer = json.loads(run("query", expression).stdout or "{}")
                return answer.get("data", {}).get("result")

            cluster.wait_until("both processes are scraped", lambda: [
                sample["value"][1] for sample in result("up") or []] == ["1"] * len(ports))
            for expression in ["flink_jobmanager_taskSlotsTotal",
                               "sum by (job_name) (flink_taskmanager_job_task_operator_numRecordsIn)",
                               "max(flink_taskmanager_job_task_busyTimeMsPerSecond)"]:
                cluster.wait_until(expression, lambda: result(expression))
            print("a real Prometheus took everything")
        finally:
            run("stop", "--wipe")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main():
    with tempfile.TemporaryDirectory() as folder, cluster.Cluster(
            task_managers=1, slots=4,
            options=["metrics.reporter.prom.port=0", "metrics.fetcher.update-interval=500 ms"]) as running:
        rest = running.rest
        # One file, so one of the source's two subtasks has none: it must not hold event time back.
        events = pathlib.Path(folder) / "events"
        events.mkdir()
        feeder = Feeder(events / "events.ndjson")
        feeder.start()
        job = rest.run(cluster.library_of(rest, "ndr"), [
            "--events", events, "--follow", "--detections", pathlib.Path(folder) / "found.db"],
            parallelism=2, entry="ndr")
        rest.wait_for_state(job, "RUNNING")
        vertices = rest.get(f"/jobs/{job}")["vertices"]

        def records_flow():
            return all(
                sum(subtask["sum"] for subtask in rest.get(
                    f"/jobs/{job}/vertices/{vertex['id']}/subtasks/metrics?get=busyTimeMsPerSecond&agg=sum")) > 0
                for vertex in vertices) and rest.completed_checkpoints(job) > 1

        cluster.wait_until("every vertex is busy and checkpoints complete", records_flow)
        ports = [metrics_port(running, "jobmanager"), metrics_port(running, "taskmanager-1")]
        texts = [scrape(port) for port in ports]
        found = {}
        for text in texts:
            found.update(families(text))
        assert set(families(scrape(rest.address.rsplit(":", 1)[1]))) == set(families(texts[0])), \
            "the REST port shows the JobManager's metrics too"
        check_names(found)
        check_rest(rest, job)
        check_states(rest, job, found)
        check_event_time(rest, job)
        check_real_prometheus(ports)
        feeder.stopped.set()
        rest.cancel(job)
        rest.wait_for_state(job, "CANCELED")
        cluster.wait_until("the job's metrics go with it", lambda: "flink_taskmanager_job_" not in scrape(ports[1]))


if __name__ == "__main__":
    main()
