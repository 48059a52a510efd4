"""Failures of a task, of its process and of its machine: what is restarted, what is told, and that every record counts once."""

import collections
import json
import os
import re
import signal
import time
import unittest

from cluster import JOBS, Cluster, wait_until

INTERVAL = {"execution.checkpointing.interval": "300 ms"}
RECORDS = 320_000
# The job runs in the TaskManager's own process.
NOT_ISOLATED = ["taskmanager.isolation=none"]


class TwoPipelines:
    """The job two_pipelines on a cluster."""

    def __init__(self, cluster, how="throw", keys=100, settings=(), rate=40_000, records=RECORDS, rest=None, parallelism=1):
        self.cluster, self.rest = cluster, rest or cluster.rest
        self.keys, self.records = keys, records
        unique = time.monotonic_ns()
        self.trigger = cluster.folder / f"trigger-{unique}"
        self.out = cluster.folder / f"out-{unique}"
        library = self.rest.upload(JOBS / "libfailover_jobs.so")
        self.id = self.rest.run(
            library,
            ["--records", records, "--keys", keys, "--rate", rate, "--out", self.out, "--trigger", self.trigger, "--how", how],
            parallelism=parallelism, settings={**INTERVAL, **dict(settings)})
        self.wait_until_all_run()
        self.wait_for_a_checkpoint()

    def tasks(self):
        """Vertex name -> its first subtask."""
        vertices = self.rest.get(f"/jobs/{self.id}")["vertices"]
        return {vertex["name"]: self.rest.get(f"/jobs/{self.id}/vertices/{vertex['id']}")["subtasks"][0]
                for vertex in vertices}

    def wait_until_all_run(self):
        wait_until("all tasks RUNNING", lambda: {task["status"] for task in self.tasks().values()} == {"RUNNING"})

    def wait_for_a_checkpoint(self):
        done = self.rest.completed_checkpoints(self.id)
        wait_until("a checkpoint", lambda: self.rest.completed_checkpoints(self.id) > done)

    def attempts_by_side(self):
        """Side -> the attempt numbers of its tasks, over all its vertices."""
        job = self.rest.get(f"/jobs/{self.id}")
        names = {vertex["id"]: vertex["name"] for vertex in job["vertices"]}
        side_of = {}
        for node in job["plan"]["nodes"]:  # Sources first.
            inputs = [edge["id"] for edge in node.get("inputs", [])]
            side_of[node["id"]] = side_of[inputs[0]] if inputs else ("left" if "left" in names[node["id"]] else "right")
        attempts = collections.defaultdict(list)
        for vertex, side in side_of.items():
            attempts[side] += [task["attempt"] for task in self.rest.get(f"/jobs/{self.id}/vertices/{vertex}")["subtasks"]]
        return attempts

    def go_wrong(self):
        self.trigger.touch()
        wait_until("the operator has gone wrong", lambda: not self.trigger.exists())

    def history(self):
        return self.rest.get(f"/jobs/{self.id}/exceptions?maxExceptions=10")["exceptionHistory"]["entries"]

    def check_counts(self, test):
        """Lets the job finish; every record of both pipelines must have been counted once."""
        self.rest.wait_for_state(self.id, "FINISHED", 180)
        for side in ("left", "right"):
            counts = [json.loads(line)["count"]
                      for path in (self.out / side).rglob("*.ndjson") if not path.name.startswith(".")
                      for line in path.read_text().splitlines()]
            test.assertEqual(sum(counts), self.records, side)
            test.assertEqual(len(counts), self.keys, side)


def logs_of(cluster):
    return "".join(log.read_text(errors="replace") for log in sorted(cluster.folder.glob("taskmanager-*.log")))


class FailoverTest(unittest.TestCase):
    def test_a_region_restarts_alone(self):
        with Cluster(task_managers=1, slots=1) as cluster:
            job = TwoPipelines(cluster)
            job.go_wrong()
            wait_until("the failure is told", job.history)
            wait_until("restored", lambda: cluster.rest.restored(job.id) == 1)
            job.wait_until_all_run()
            attempts = job.attempts_by_side()
            self.assertEqual(set(attempts["left"]), {1}, attempts)
            self.assertEqual(set(attempts["right"]), {0}, attempts)
            entry, = job.history()
            self.assertEqual(entry["exceptionName"], "std::out_of_range")
            self.assertEqual(entry["failureLabels"], {"type": "USER"})
            self.assertIn("thrown on purpose", entry["stacktrace"])
            self.assertIn("uid=goes-wrong-left", entry["stacktrace"])
            self.assertRegex(entry["taskName"], r"left.* \(1/1\) - execution #0")
            self.assertRegex(entry["endpoint"], r"^127\.0\.0\.1:\d+$")
            self.assertTrue(entry["taskManagerId"])
            job.check_counts(self)

    def test_the_whole_job_restarts_where_asked(self):
        with Cluster(task_managers=1, slots=1) as cluster:
            job = TwoPipelines(cluster, settings={"jobmanager.execution.failover-strategy": "full"})
            job.go_wrong()
            wait_until("restored", lambda: cluster.rest.restored(job.id) == 1)
            attempts = job.attempts_by_side()
            self.assertEqual(set(attempts["left"] + attempts["right"]), {1}, attempts)
            job.check_counts(self)

    def test_local_recovery_reads_nothing_from_the_checkpoint(self):
        with Cluster(task_managers=1, slots=1) as cluster:
            # Enough state to lie in files, not in the metadata.
            job = TwoPipelines(cluster, keys=20_000, settings={"execution.state-recovery.from-local": "true"})
            def state_bytes():
                latest = cluster.rest.get(f"/jobs/{job.id}/checkpoints")["latest"]["completed"]
                return 0 if latest is None else latest["state_size"]
            wait_until("state of both sides in files", lambda: state_bytes() > 4 * 65536)
            job.wait_for_a_checkpoint()
            job.go_wrong()
            wait_until("restored", lambda: cluster.rest.restored(job.id) == 1)
            job.wait_until_all_run()

            def told():
                return [(int(local), int(remote)) for local, remote in
                        re.findall(r"state restored: .*job_local_bytes=(\d+) job_remote_bytes=(\d+)", logs_of(cluster))]
            # A task says so just after it says that it runs.
            wait_until("the counting task has said what it read", lambda: any(sum(read) > 0 for read in told()))
            self.assertEqual(max(remote for _, remote in told()), 0, told())
            job.check_counts(self)

    def test_a_crash_is_told_with_operator_and_stack(self):
        for how, name in (("segv", "SIGSEGV"), ("abort", "SIGABRT"), ("fpe", "SIGFPE"), ("overflow", "SIGSEGV")):
            with self.subTest(how=how), Cluster(task_managers=2, slots=1, options=NOT_ISOLATED) as cluster:
                job = TwoPipelines(cluster, how=how)
                job.go_wrong()
                died = wait_until("the process has died", lambda: [
                    process for process in cluster.task_managers if process.poll() is not None])
                self.assertEqual(died[0].returncode, -getattr(signal, name))
                wait_until("restored", lambda: cluster.rest.restored(job.id) >= 1)
                job.wait_until_all_run()
                entry = next(entry for entry in reversed(job.history()))
                self.assertEqual(entry["exceptionName"], name, entry)
                self.assertEqual(entry["failureLabels"], {"type": "USER"})
                self.assertIn("operator=Goes wrong left uid=goes-wrong-left subtask=0/1", entry["stacktrace"])
                self.assertIn("stack:\n#0 0x", entry["stacktrace"])
                # A job's library stands under the hash of its content.
                self.assertRegex(entry["stacktrace"], r"\(\S+/[0-9a-f]{64}\.so\+0x[0-9a-f]+\)")
                self.assertRegex(entry["taskName"], r"left.* - execution #0")
                self.assertIn("operator: Goes wrong left", logs_of(cluster))
                files = list((cluster.folder / "tmp").glob("weir-crash-*.reported.txt"))
                self.assertEqual(len(files), 1, "what was told at once need not be told again")
                cluster.task_managers.remove(died[0])
                job.check_counts(self)

    def test_a_crash_that_was_not_told_is_told_by_the_next_process(self):
        with Cluster(task_managers=1, slots=1) as cluster:
            job = TwoPipelines(cluster)
            manager = cluster.rest.task_managers()[0]["id"]
            cluster.kill_task_manager(0)
            wait_until("the loss is told", job.history)
            self.assertEqual(job.history()[0]["exceptionName"], "TaskManagerLost")
            self.assertEqual(job.history()[0]["failureLabels"], {"type": "SYSTEM"})
            (cluster.folder / "tmp" / "weir-crash-1-2.txt").write_text(
                f"A weir TaskManager has crashed\nsignal: SIGSEGV\npid: 2\ntaskmanager: {manager}\njob: {job.id}\n"
                f"attempt: {'0' * 31}1\noperator: Goes wrong left\nuid: goes-wrong-left\nsubtask: 0/1\nstack:\n#0 0x1 here\n")
            cluster.start_task_manager()
            wait_until("the crash is told", lambda: job.history()[0]["exceptionName"] == "SIGSEGV")
            self.assertIn("#0 0x1 here", job.history()[0]["stacktrace"])
            self.assertIn("was lost", job.history()[0]["stacktrace"])
            job.check_counts(self)

    def test_a_loss_that_takes_down_two_regions_is_one_failure(self):
        once = {"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "1",
                "restart-strategy.fixed-delay.delay": "50 ms"}
        for options in (NOT_ISOLATED, []):
            with self.subTest(options=options), Cluster(task_managers=3, slots=1, options=options) as cluster:
                job = TwoPipelines(cluster, parallelism=2, settings=once)
                port = next(iter(job.tasks().values()))["endpoint"].rsplit(":", 1)[1]
                cluster.kill_task_manager(next(i for i in range(3) if f"data_port={port} " in
                                               (cluster.folder / f"taskmanager-{i + 1}.log").read_text()))
                wait_until("restored", lambda: cluster.rest.restored(job.id) == 1)
                job.wait_until_all_run()
                entry, = job.history()
                self.assertEqual(entry["exceptionName"], "TaskManagerLost")
                job.check_counts(self)

    def test_a_stopped_process_is_replaced_and_does_nothing_when_it_wakes(self):
        with Cluster(task_managers=2, slots=1, options=NOT_ISOLATED) as cluster:
            job = TwoPipelines(cluster, rate=25_000)
            endpoint = next(iter(job.tasks().values()))["endpoint"]
            port = endpoint.rsplit(":", 1)[1]
            index = next(i for i in range(2) if f"data_port={port} " in
                         (cluster.folder / f"taskmanager-{i + 1}.log").read_text())
            stopped = cluster.task_managers[index]
            os.kill(stopped.pid, signal.SIGSTOP)
            begin = time.monotonic()
            try:
                wait_until("the job restarts elsewhere", lambda: cluster.rest.restored(job.id) == 1, 30)
                took = time.monotonic() - begin
                job.wait_until_all_run()
                self.assertTrue(all(task["endpoint"] != endpoint for task in job.tasks().values()))
                self.assertLess(took, 10)
                self.assertIn("no heartbeat came", job.history()[0]["stacktrace"])
                job.wait_for_a_checkpoint()
            finally:
                os.kill(stopped.pid, signal.SIGCONT)
            log = cluster.folder / f"taskmanager-{index + 1}.log"
            wait_until("it has registered anew",
                       lambda: log.read_text().count("registered with the JobManager") == 2)
            wait_until("both are there", lambda: len(cluster.rest.task_managers()) == 2)
            job.wait_for_a_checkpoint()
            job.check_counts(self)


if __name__ == "__main__":
    unittest.main(verbosity=2)
