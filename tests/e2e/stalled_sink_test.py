"""A sink that nobody reads from: every process holds a bounded amount, and the job goes on when the reader comes back."""

import json
import pathlib
import subprocess
import tempfile
import threading

import cluster

EVENTS = 400_000  # About 400 MB: far more than the processes may hold.
LIMIT_MIB = 300


class UnreadCluster(cluster.Cluster):
    """TaskManagers whose standard output, where the sink prints, is a pipe that is not read."""

    def start_task_manager(self):
        name = f"taskmanager-{len(self.task_managers) + 1}"
        process = self._spawn(
            name,
            [cluster.BIN / "weir-taskmanager", "--jobmanager", self.rpc, "--slots", self.slots, *self.options],
            stdout=subprocess.PIPE)
        self.task_managers.append(process)
        return process


def resident_mib(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {field} of {pid}")


def records_read(rest, job):
    return sum(v["metrics"]["write-records"] for v in rest.get(f"/jobs/{job}")["vertices"])


def main():
    with tempfile.TemporaryDirectory() as folder, UnreadCluster(task_managers=2, slots=2) as running:
        events = pathlib.Path(folder) / "events.ndjson"
        with open(events, "w", encoding="ascii") as out:
            for i in range(EVENTS):
                out.write(json.dumps({"EventID": 1, "n": i, "CommandLine": "x" * 980}) + "\n")
        rules = pathlib.Path(folder) / "rule.yml"
        rules.write_text("title: All\nid: all\nlogsource: {product: windows}\nlevel: low\n"
                         "detection:\n  s: {EventID: 1}\n  condition: s\n")
        rest = running.rest
        job = rest.run(cluster.library_of(rest, "sigma"), ["--rules", str(rules), "--events", str(events)],
                       parallelism=2, entry="sigma")
        rest.wait_for_state(job, "RUNNING")
        # Stalled: once something was read, the count stands still for a while.
        history = []

        def stands_still():
            history.append(records_read(rest, job))
            recent = history[-150:]
            return len(recent) == 150 and recent[0] == recent[-1]

        cluster.wait_until("the job stands still behind its sink", stands_still, seconds=60)
        pids = [running.job_manager.pid, *(process.pid for process in running.task_managers)]
        peaks = [resident_mib(pid, "VmHWM:") for pid in pids]
        print("peak MiB while stalled:", [round(peak) for peak in peaks])
        assert max(peaks) < LIMIT_MIB, f"a process held {max(peaks):.0f} MiB"
        assert rest.state(job) == "RUNNING"

        lines = []

        def drain(stream):
            lines.append(sum(1 for line in stream if b"sigma_rule_ids" in line))

        readers = [threading.Thread(target=drain, args=(process.stdout,)) for process in running.task_managers]
        for reader in readers:
            reader.start()
        rest.wait_for_state(job, "FINISHED", seconds=120)
        peaks = [resident_mib(pid, "VmHWM:") for pid in pids]
        print("peak MiB at the end:", [round(peak) for peak in peaks])
        assert max(peaks) < LIMIT_MIB, f"a process held {max(peaks):.0f} MiB"
        for process in running.task_managers:
            process.terminate()
        for reader in readers:
            reader.join()
        assert sum(lines) == EVENTS, f"{sum(lines)} of {EVENTS} events came out"


if __name__ == "__main__":
    main()
