"""keyed_count while JobManagers die or are stopped: the jobs go on under their ids, and what is committed equals an
undisturbed run's.

    WEIR_TEST_BIN=build/release/bin tests/e2e/high_availability_test.py [unittest options]

With WEIR_TEST_ETCD (see tests/support/with_etcd) the JobManagers elect their leader in etcd, with WEIR_TEST_S3_ENDPOINT (see
tests/support/with_s3) in an object store, which has everything else as well; otherwise in a shared folder.
"""

import collections
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

from cluster import BIN, Rest, committed_lines, library_of, show_logs, wait_until

RECORDS = 2_400_000
RATE = 100_000  # A second: long enough for two take-overs.
KEYS = 500


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class JobManagerProcess:
    """One JobManager that is started again and again, under the same ports."""

    def __init__(self, cluster, name, options):
        self.cluster = cluster
        self.name = name
        self.rpc_port = free_port()
        self.options = options
        self.process = None
        self.rest = None
        self.starts = 0

    def start(self):
        self.starts += 1
        with open(self.cluster.folder / f"{self.name}-{self.starts}.log", "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in [BIN / "weir-jobmanager", "--rest-port", 0, "--rpc-port", self.rpc_port,
                                        *self.cluster.options, *self.options]],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode()
        match = re.search(r" ready rest=(\S+) rpc=", line)
        assert match, f"{self.name} did not get ready: {line!r}"
        self.rest = Rest(match.group(1))

    def end(self, how=signal.SIGKILL):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)  # It may be stopped.
        self.process.send_signal(how)
        self.process.wait(30)
        self.process.stdout.close()
        self.process = None

    def signal(self, what):
        self.process.send_signal(what)

    def answer(self, path="/overview"):
        """Returns (status, Location) without following it; (0, None) if nothing answers."""
        connection = http.client.HTTPConnection(self.rest.address, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("Location")
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def leads(self):
        return self.process is not None and self.answer()[0] == 200


class Cluster:
    """JobManagers and TaskManagers in a folder of their own. A context manager; on failure it shows the logs."""

    def __init__(self, job_managers, options=(), of_job_managers=(), slots=2):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-e2e-ha-"))
        (self.folder / "tmp").mkdir()
        self.options = [f"-Dio.tmp.dirs={self.folder / 'tmp'}", f"-Dexecution.checkpointing.dir={self.folder / 'chk'}",
                        "-Dmetrics.reporter.prom.port=", *[f"-D{option.format(folder=self.folder)}" for option in options]]
        self.job_managers = [
            JobManagerProcess(self, f"jobmanager-{number}",
                              [f"-D{option.format(folder=self.folder)}" for option in of_job_managers])
            for number in range(1, job_managers + 1)]
        self.task_managers = []
        self.slots = slots  # Of each TaskManager.

    def start(self):
        for job_manager in self.job_managers:
            job_manager.start()
        addresses = ",".join(f"127.0.0.1:{one.rpc_port}" for one in self.job_managers)
        for number in (1, 2):
            with open(self.folder / f"taskmanager-{number}.log", "wb") as log:
                self.task_managers.append(subprocess.Popen(
                    [str(word) for word in [BIN / "weir-taskmanager", "--jobmanager", addresses, "--slots", self.slots,
                                            *self.options]],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log))
        leader = self.leader()
        self.wait_for_task_managers(leader)
        return leader

    def leader(self, but=None, seconds=60):
        """Waits for a leader other than `but`."""
        return wait_until("a JobManager leads", lambda: next(
            (one for one in self.job_managers if one is not but and one.leads()), None), seconds)

    def wait_for_task_managers(self, leader):
        wait_until("the TaskManagers are registered", lambda: len(leader.rest.task_managers()) == 2)

    def submit(self, leader, out, rate):
        return leader.rest.run(
            library_of(leader.rest, "keyed_count"),
            ["--records", RECORDS, "--keys", KEYS, "--seed", 7, "--rate", rate, "--out", self.folder / out],
            parallelism=2, entry="keyed_count", settings={"execution.checkpointing.interval": "500 ms"})

    def lines(self, out):
        return committed_lines(self.folder / out)

    def close(self, failed):
        for process in self.task_managers:
            process.kill()
            process.wait()
        for job_manager in self.job_managers:
            job_manager.end()
        if failed:
            show_logs(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close(failed=kind is not None)


def high_availability():
    options = [f"high-availability.cluster-id=e2e-{uuid.uuid4().hex}"]
    store = os.environ.get("WEIR_TEST_S3_ENDPOINT")
    if store:
        bucket = f"s3://{os.environ['WEIR_TEST_S3_BUCKET']}"
        return [*options, f"high-availability.storageDir={bucket}/ha", "high-availability.type=filesystem",
                f"execution.checkpointing.dir={bucket}/checkpoints", f"s3.endpoint={store}", "s3.path.style.access=true"]
    options.append("high-availability.storageDir={folder}/ha")
    etcd = os.environ.get("WEIR_TEST_ETCD")
    if etcd:
        return [*options, "high-availability.type=etcd", f"high-availability.etcd.endpoints={etcd}"]
    return [*options, "high-availability.type=filesystem"]


def wait_for_checkpoint(rest, job):
    rest.wait_for_state(job, "RUNNING")
    done = rest.completed_checkpoints(job)
    wait_until("a checkpoint", lambda: rest.completed_checkpoints(job) > done)


class CountTest(unittest.TestCase):
    """What the tests below compare; has no tests itself."""

    def assert_same_output(self, cluster, expected, out):
        actual = cluster.lines(out)
        missing, extra = expected - actual, actual - expected
        self.assertEqual((sum(missing.values()), sum(extra.values())), (0, 0),
                         f"missing {collections.Counter(missing).most_common(3)}, "
                         f"too many {collections.Counter(extra).most_common(3)}")

    def undisturbed(self, cluster, leader):
        job = cluster.submit(leader, "undisturbed", 0)
        leader.rest.wait_for_state(job, "FINISHED", 600)
        lines = cluster.lines("undisturbed")
        self.assertEqual(sum(json.loads(line)["count"] for line in lines.elements()), RECORDS, "the job itself is wrong")
        return job, lines

    def assert_gone_on(self, leader, job, begin, restored=0):
        """Waits until the job runs under `leader`: with the tasks that it had, or restored from a checkpoint."""
        leader.rest.wait_for_state(job, {"RUNNING", "FINISHED"}, 120)
        seconds = time.monotonic() - begin
        print(f"the job runs under the next leader after {seconds:.1f} s", flush=True)
        self.assertEqual(leader.rest.restored(job), restored)
        self.assertLess(seconds, 60)


class HighAvailabilityTest(CountTest):
    def test_a_standby_takes_over_from_a_leader_that_was_killed(self):
        with Cluster(2, high_availability()) as cluster:
            leader = cluster.start()
            standby = next(one for one in cluster.job_managers if one is not leader)
            wait_until("the standby knows the leader", lambda: standby.answer("/jobs?x=1") == (
                307, f"http://{leader.rest.address}/jobs?x=1"))
            finished, expected = self.undisturbed(cluster, leader)
            job = cluster.submit(leader, "disturbed", RATE)
            for _ in range(2):
                wait_for_checkpoint(leader.rest, job)
                begin = time.monotonic()
                killed, leader = leader, None
                killed.end()
                leader = cluster.leader()
                states = {one["id"]: one["status"] for one in leader.rest.get("/jobs")["jobs"]}
                self.assertEqual(set(states), {finished, job})
                self.assertEqual(states[finished], "FINISHED")
                self.assert_gone_on(leader, job, begin)
                killed.start()
            leader.rest.wait_for_state(job, "FINISHED", 300)
            self.assert_same_output(cluster, expected, "disturbed")

    def test_a_leader_that_was_stopped_does_no_harm_when_it_wakes(self):
        with Cluster(2, high_availability()) as cluster:
            old = cluster.start()
            _, expected = self.undisturbed(cluster, old)
            job = cluster.submit(old, "disturbed", RATE)
            wait_for_checkpoint(old.rest, job)
            begin = time.monotonic()
            old.signal(signal.SIGSTOP)
            leader = cluster.leader(but=old)
            # The TaskManagers could not know whether it lived, so they had cancelled the tasks.
            self.assert_gone_on(leader, job, begin, restored=1)
            old.signal(signal.SIGCONT)
            wait_until("the old leader has stepped down", lambda: old.answer("/jobs") == (
                307, f"http://{leader.rest.address}/jobs"))
            self.assertIsNone(old.process.poll())
            wait_for_checkpoint(leader.rest, job)
            leader.rest.wait_for_state(job, "FINISHED", 300)
            self.assertEqual(leader.rest.restored(job), 1, "the old leader disturbed the job")
            self.assert_same_output(cluster, expected, "disturbed")
            # It is a standby like any other.
            leader.end(signal.SIGTERM)
            self.assertIs(cluster.leader(), old)
            self.assertEqual(old.rest.state(job), "FINISHED")


class RestartTest(CountTest):
    def test_a_jobmanager_that_is_restarted_alone_finds_its_jobs(self):
        with Cluster(1, of_job_managers=["process.jobmanager.working-dir={folder}/jobmanager"]) as cluster:
            leader = cluster.start()
            finished, expected = self.undisturbed(cluster, leader)
            job = cluster.submit(leader, "disturbed", RATE)
            for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
                wait_for_checkpoint(leader.rest, job)
                begin = time.monotonic()
                leader.end(how)
                leader.start()
                cluster.wait_for_task_managers(leader)
                self.assert_gone_on(leader, job, begin)
                self.assertEqual(leader.rest.state(finished), "FINISHED")
            leader.rest.wait_for_state(job, "FINISHED", 300)
            self.assert_same_output(cluster, expected, "disturbed")
            cancelled = cluster.submit(leader, "cancelled", 1000)
            leader.rest.wait_for_state(cancelled, "RUNNING")
            leader.rest.cancel(cancelled)
            leader.rest.wait_for_state(cancelled, "CANCELED")
            # The end of a job counts once it is on disk; right behind, a kill comes before or after.
            wait_until("the end is kept", lambda: not list((cluster.folder / "jobmanager/ha").glob(f"data-*/k-job-{cancelled}")))
            leader.end()
            leader.start()
            states = {one["id"]: one["status"] for one in leader.rest.get("/jobs")["jobs"]}
            self.assertEqual(states, {finished: "FINISHED", job: "FINISHED", cancelled: "CANCELED"})

    def test_a_job_that_was_taken_in_is_never_lost_or_doubled(self):
        with Cluster(1, of_job_managers=["process.jobmanager.working-dir={folder}/jobmanager"]) as cluster:
            leader = cluster.start()
            library = library_of(leader.rest, "keyed_count")
            taken_in = []
            for number in range(4):
                taken_in.append(leader.rest.run(library, ["--records", 1000, "--keys", 10, "--rate", 10, "--out",
                                                          cluster.folder / f"out-{number}"], entry="keyed_count"))
                leader.end()  # At the very moment of the answer.
                leader.start()
                jobs = [one["id"] for one in leader.rest.get("/jobs")["jobs"]]
                self.assertCountEqual(jobs, taken_in)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
