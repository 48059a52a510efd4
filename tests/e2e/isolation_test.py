"""Jobs of uploaded libraries run in processes of their own: what happens to one is no other job's affair."""

import os
import pathlib
import re
import signal
import time
import unittest
import urllib.request

from cluster import JOBS, Cluster, wait_until
from failover_test import TwoPipelines, logs_of
import high_availability_test as ha

RESTARTS_ONCE = {"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "1",
                 "restart-strategy.fixed-delay.delay": "50 ms"}
# A slot has a quarter of it, and a process of one slot ends above 1.5 times that and 96 MiB for the program.
MEMORY = "taskmanager.memory.size=512 mb"


def stat_of(pid):
    """The fields of /proc/PID/stat behind the name: state, parent, …; none once the process is gone or a zombie."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
    return [] if fields[0] == "Z" else fields


def lives(pid):
    return bool(stat_of(pid))


def job_processes(task_manager):
    """Job -> the id of its process, of those that the TaskManager `task_manager` (a Popen) has."""
    found = {}
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        fields = stat_of(folder.name)
        if len(fields) < 2 or fields[1] != str(task_manager.pid):
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        # One that is in reserve has no job yet.
        if b"--job-process-job" in words and b"-" * 32 not in words:
            found[words[words.index(b"--job-process-job") + 1].decode()] = int(folder.name)
    return found


class IsolationTest(unittest.TestCase):
    def crash(self, cluster, how):
        """Lets a job crash twice: it is restarted, and then FAILED. Returns the history's newest entry."""
        manager = cluster.task_managers[0]
        job = TwoPipelines(cluster, how=how, settings=RESTARTS_ONCE)
        first = job_processes(manager)[job.id]
        job.go_wrong()
        wait_until("restored", lambda: cluster.rest.restored(job.id) == 1)
        job.wait_until_all_run()
        self.assertEqual({task["attempt"] for task in job.tasks().values()}, {1})
        self.assertNotEqual(job_processes(manager)[job.id], first)
        job.go_wrong()
        cluster.rest.wait_for_state(job.id, "FAILED")
        wait_until("its process is gone", lambda: job.id not in job_processes(manager))
        self.assertEqual(len(job.history()), 2, job.history())
        return job.history()[0]

    def test_a_crash_restarts_no_other_job(self):
        with Cluster(task_managers=1, slots=4, options=[MEMORY]) as cluster:
            manager, = cluster.task_managers
            steady = TwoPipelines(cluster, records=10**9, rate=1000)
            process = job_processes(manager)[steady.id]
            for how, name in (("segv", "SIGSEGV"), ("abort", "SIGABRT"), ("overflow", "SIGSEGV"), ("exit", "exit(7)")):
                with self.subTest(how=how):
                    entry = self.crash(cluster, how)
                    self.assertEqual(entry["exceptionName"], name)
                    self.assertEqual(entry["failureLabels"], {"type": "USER"})
                    self.assertIn("operator=Goes wrong left uid=goes-wrong-left subtask=0/1", entry["stacktrace"])
                    self.assertIn("stack:\n#0 0x", entry["stacktrace"])
                    self.assertRegex(entry["stacktrace"], r"\(\S+/[0-9a-f]{64}\.so\+0x[0-9a-f]+\)")
                    self.assertEqual(entry["taskManagerId"], cluster.rest.task_managers()[0]["id"])
            with self.subTest(how="quick"):
                entry = self.crash(cluster, "quick")
                self.assertEqual(entry["exceptionName"], "exit(8)")
                self.assertEqual(entry["failureLabels"], {"type": "USER"})
            with self.subTest(how="leak"):
                entry = self.crash(cluster, "leak")
                self.assertEqual(entry["exceptionName"], "OutOfMemory")
                self.assertEqual(entry["failureLabels"], {"type": "USER"})
                self.assertIn("limit_bytes=301989888", entry["stacktrace"])
            self.assertIsNone(manager.poll())
            self.assertEqual(job_processes(manager), {steady.id: process})
            self.assertEqual({task["attempt"] for task in steady.tasks().values()}, {0})
            listed, = cluster.rest.task_managers()
            self.assertEqual((listed["slotsNumber"], listed["freeSlots"]), (4, 3))
            steady.wait_for_a_checkpoint()
            cluster.rest.cancel(steady.id)
            cluster.rest.wait_for_state(steady.id, "CANCELED")
            wait_until("no process is left", lambda: not job_processes(manager))
            wait_until("all slots are free", lambda: cluster.rest.task_managers()[0]["freeSlots"] == 4)
            self.assertEqual(list((cluster.folder / "tmp").glob("weir-crash-*[0-9].txt")), [], "all are told of")

    def test_a_process_that_is_killed_or_hangs_is_replaced(self):
        with Cluster(task_managers=1, slots=2, options=["heartbeat.interval=300 ms", "heartbeat.timeout=1500 ms"]) as cluster:
            manager, = cluster.task_managers
            steady, job = TwoPipelines(cluster), TwoPipelines(cluster)
            killed = job_processes(manager)[job.id]
            os.kill(killed, signal.SIGKILL)
            wait_until("restored", lambda: cluster.rest.restored(job.id) == 1)
            job.wait_until_all_run()
            self.assertEqual(job.history()[0]["exceptionName"], "SIGKILL")
            self.assertEqual(job.history()[0]["failureLabels"], {"type": "SYSTEM"})
            stopped = job_processes(manager)[job.id]
            job.wait_for_a_checkpoint()
            os.kill(stopped, signal.SIGSTOP)
            wait_until("restored", lambda: cluster.rest.restored(job.id) == 2)
            job.wait_until_all_run()
            self.assertIn("no heartbeat came", job.history()[0]["stacktrace"])
            wait_until("the one that hung is killed", lambda: not lives(stopped))
            self.assertEqual({task["attempt"] for task in steady.tasks().values()}, {0})
            self.assertEqual(len(cluster.rest.task_managers()), 1)
            job.check_counts(self)
            steady.check_counts(self)

    def test_processes_end_with_their_task_manager(self):
        with Cluster(task_managers=2, slots=1) as cluster:
            job = TwoPipelines(cluster)
            def owner():
                return next(i for i in range(2) if job.id in job_processes(cluster.task_managers[i]))
            index = owner()
            process = job_processes(cluster.task_managers[index])[job.id]
            os.kill(process, signal.SIGSTOP)  # Nothing that it does itself ends it.
            cluster.kill_task_manager(index)
            wait_until("no orphan", lambda: not lives(process))
            wait_until("restored", lambda: cluster.rest.restored(job.id) == 1)
            job.wait_until_all_run()
            job.check_counts(self)
            # In good order as well.
            job = TwoPipelines(cluster)
            process = job_processes(cluster.task_managers[0])[job.id]
            manager = cluster.task_managers.pop(0)
            manager.terminate()
            self.assertEqual(manager.wait(20), 0)
            self.assertFalse(lives(process))
            self.assertEqual(list((cluster.folder / "tmp").glob("weir-crash-*")), [])
            cluster.start_task_manager()
            wait_until("restored", lambda: cluster.rest.restored(job.id) == 1)
            job.check_counts(self)

    def test_cancelling_a_job_ends_its_process_whatever_it_does(self):
        with Cluster(task_managers=1, slots=2) as cluster:
            manager, = cluster.task_managers
            library = cluster.rest.upload(JOBS / "libfailover_jobs.so")
            for delay in (0, 0, 0.01, 0.03, 0.1, 0.3):
                job = cluster.rest.run(library, ["--records", 10**9, "--rate", 1000, "--out", cluster.folder / "out",
                                                 "--trigger", cluster.folder / "never"], parallelism=1)
                time.sleep(delay)
                cluster.rest.cancel(job)
                cluster.rest.wait_for_state(job, "CANCELED")
            wait_until("no process is left", lambda: not job_processes(manager))
            self.assertEqual(cluster.rest.task_managers()[0]["freeSlots"], 2)
            self.assertNotIn("failed", logs_of(cluster))

    def test_many_small_jobs_each_have_a_process(self):
        with Cluster(task_managers=1, slots=20) as cluster:
            manager, = cluster.task_managers
            library = cluster.rest.upload(JOBS / "libfailover_jobs.so")
            jobs = [cluster.rest.run(library, ["--records", 10**9, "--rate", 100, "--keys", 3, "--out", cluster.folder / f"out-{i}",
                                               "--trigger", cluster.folder / "never"], parallelism=1) for i in range(20)]
            wait_until("all have one", lambda: set(job_processes(manager)) == set(jobs))
            for job in jobs:
                cluster.rest.wait_for_state(job, "RUNNING")
            self.assertEqual(cluster.rest.task_managers()[0]["freeSlots"], 0)
            for job in jobs:
                cluster.rest.cancel(job)
            for job in jobs:
                cluster.rest.wait_for_state(job, "CANCELED")
            wait_until("no process is left", lambda: not job_processes(manager))

    def test_metrics_of_all_processes_are_served_by_the_task_manager(self):
        with Cluster(task_managers=1, slots=2, options=["metrics.reporter.prom.port=0", "metrics.fetcher.update-interval=200 ms"]) as cluster:
            job = TwoPipelines(cluster)
            port = re.search(r"metrics_port=(\d+)", logs_of(cluster)).group(1)
            def metrics():
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    return answer.read().decode()
            wait_until("the tasks' metrics", lambda: f'job_id="{job.id}"' in metrics())
            families = re.findall(r"# TYPE (\S+)", metrics())
            self.assertEqual(len(families), len(set(families)), "each family once")
            managers = set(re.findall(r'flink_taskmanager_Status_JVM_Threads_Count\{.*?tm_id="([^"]+)"', metrics()))
            self.assertEqual(len(managers), 2, "the TaskManager and the process")

    def test_isolation_can_be_switched_off(self):
        with Cluster(task_managers=1, slots=1, options=["taskmanager.isolation=none"]) as cluster:
            job = TwoPipelines(cluster, records=40_000)
            self.assertEqual(job_processes(cluster.task_managers[0]), {})
            job.check_counts(self)


class TakeOverTest(ha.CountTest):
    def test_a_standby_takes_processes_over(self):
        with ha.Cluster(2, ha.high_availability()) as cluster:
            leader = cluster.start()
            library = leader.rest.upload(JOBS / "libwindow_counts.so")

            def submit(out, rate):
                return leader.rest.run(
                    library, ["--records", 150_000, "--keys", 50, "--rate", rate, "--out", cluster.folder / out],
                    parallelism=2, entry="window_counts", settings={"execution.checkpointing.interval": "500 ms"})

            def processes():
                return [job_processes(manager) for manager in cluster.task_managers]
            leader.rest.wait_for_state(submit("undisturbed", 0), "FINISHED", 120)
            job = submit("disturbed", 10_000)
            ha.wait_for_checkpoint(leader.rest, job)
            before = processes()
            self.assertTrue(any(job in found for found in before))
            begin = time.monotonic()
            leader.end()
            leader = cluster.leader(but=leader)
            self.assert_gone_on(leader, job, begin)
            self.assertEqual(processes(), before)
            leader.rest.wait_for_state(job, "FINISHED", 120)
            self.assert_same_output(cluster, cluster.lines("undisturbed"), "disturbed")
            wait_until("no process is left", lambda: not any(processes()))


class NobodyLeadsTest(unittest.TestCase):
    def test_a_crash_while_nobody_leads_is_told_to_the_next_leader(self):
        with ha.Cluster(1, of_job_managers=["process.jobmanager.working-dir={folder}/jobmanager"]) as cluster:
            leader = cluster.start()
            job = TwoPipelines(cluster, rest=leader.rest, how="segv")
            leader.end()
            manager = next(one for one in cluster.task_managers if job.id in job_processes(one))
            job.go_wrong()
            wait_until("the process is gone", lambda: job.id not in job_processes(manager))
            begin = time.monotonic()
            leader.start()
            job.rest = leader.rest
            entry, = wait_until("the crash is told", job.history)
            self.assertEqual(entry["exceptionName"], "SIGSEGV")
            self.assertIn("operator=Goes wrong left uid=goes-wrong-left subtask=0/1", entry["stacktrace"])
            wait_until("restored", lambda: leader.rest.restored(job.id) == 1)
            job.wait_until_all_run()
            print(f"all runs again {time.monotonic() - begin:.1f} s after the next leader's start", flush=True)
            self.assertEqual(list((cluster.folder / "tmp").glob("weir-crash-*[0-9].txt")), [], "it is marked as told")
            job.check_counts(self)


if __name__ == "__main__":
    unittest.main(verbosity=2)
