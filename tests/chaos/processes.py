"""The cluster of a chaos run: JobManagers and TaskManagers that are killed and started again, each under its own ports."""

import contextlib
import http.client
import json
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error

import cluster as clusters

START_SECONDS = 60
STOP_SECONDS = 15


def _free_port(taken):
    """Below the ports that the system gives to clients, so that none takes it while its owner is down."""
    while True:
        port = random.randrange(15_000, 32_000)
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        taken.add(port)
        return port


def _children(pid):
    children = []
    with contextlib.suppress(OSError):  # It may end meanwhile.
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (thread / "children").read_text().split()]
    return sorted(children)


def _is_in_reserve(pid):
    """Whether it is a process for jobs that waits to be given one."""
    with contextlib.suppress(OSError):
        return b"-" * 32 in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


class Member:
    """A process of the cluster, whoever it is at the moment. `lock` is held while it is down on purpose."""

    def __init__(self, name, command, logs):
        self.name = name
        self.process = None
        self.lock = threading.RLock()
        self._command = [str(word) for word in command]
        self._logs = logs
        self._starts = 0

    def start(self):
        self._starts += 1
        with open(self._logs / f"{self.name}-{self._starts}.log", "wb") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def last_words(self):
        lines = (self._logs / f"{self.name}-{self._starts}.log").read_text(errors="replace").splitlines()
        return lines[-1][:300] if lines else ""


class JobManager(Member):
    def __init__(self, name, options, logs, taken):
        self.rpc_port = _free_port(taken)
        rest_port = _free_port(taken)
        self.rest = clusters.Rest(f"127.0.0.1:{rest_port}")
        super().__init__(name, [clusters.BIN / "weir-jobmanager", "--rest-port", rest_port, "--rpc-port", self.rpc_port, *options], logs)

    def leads(self):
        try:
            connection = http.client.HTTPConnection(self.rest.address, timeout=2)
            try:
                connection.request("GET", "/overview")
                return connection.getresponse().status == 200
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return False


class LeaderRest(clusters.Rest):
    """The REST API of whichever JobManager leads: asks until one answers."""

    def __init__(self, job_managers):
        super().__init__("the leader")
        self._job_managers = job_managers

    def call(self, method, path, body=None, content_type="application/json"):
        deadline = time.monotonic() + START_SECONDS
        while True:
            for job_manager in self._job_managers:
                try:
                    return job_manager.rest.call(method, path, body, content_type)
                except clusters.RestError as error:
                    # No leader yet, or one that has not read its jobs.
                    if error.status not in (307, 404, 500, 503) or time.monotonic() > deadline:
                        raise
                except (OSError, http.client.HTTPException, urllib.error.URLError, json.JSONDecodeError):
                    if time.monotonic() > deadline:
                        raise
            time.sleep(clusters.POLL_SECONDS)


class Cluster:
    """A context manager. `rest` asks the JobManager that leads. Faults call it from threads of their own."""

    def __init__(self, plan, logs):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-chaos-"))
        (self.folder / "tmp").mkdir()
        settings = {"io.tmp.dirs": self.folder / "tmp", "execution.checkpointing.dir": self.folder / "checkpoints",
                    "metrics.reporter.prom.port": "", **plan.cluster_settings()}
        if plan.standby:
            settings.update({"high-availability.type": "filesystem", "high-availability.storageDir": self.folder / "ha",
                             "high-availability.cluster-id": "chaos"})
        else:
            settings["process.jobmanager.working-dir"] = self.folder / "jobmanager"
        options = [f"-D{key}={value}" for key, value in settings.items()]
        taken = set()
        self.job_managers = [JobManager(f"jobmanager-{number}", options, logs, taken) for number in range(2 if plan.standby else 1)]
        addresses = ",".join(f"127.0.0.1:{one.rpc_port}" for one in self.job_managers)
        self._task_managers = [
            Member(f"taskmanager-{number}",
                   [clusters.BIN / "weir-taskmanager", "--jobmanager", addresses, "--slots", plan.slots, *options], logs)
            for number in range(plan.task_managers)]
        self.rest = LeaderRest(self.job_managers)

    @property
    def task_managers(self):
        return [member.process for member in self._task_managers]

    def members(self):
        return [*self.job_managers, *self._task_managers]

    def named_processes(self):
        """Those of the job with their TaskManager's name, behind it."""
        named = []
        for member in self.members():
            named += [(member.name, pid) for pid in [member.process.pid, *_children(member.process.pid)]]
        return named

    def job_processes(self, index):
        """Returns the pids of the processes that a TaskManager has for jobs."""
        return [pid for pid in _children(self._task_managers[index].process.pid) if not _is_in_reserve(pid)]

    def leader(self):
        return clusters.wait_until("a JobManager leads", lambda: next((one for one in self.job_managers if one.leads()), None),
                                   START_SECONDS)

    def restart_task_manager(self, index, pause):
        self._restart([self._task_managers[index]], pause)

    def restart_job_manager(self, pause):
        """Kills the one that leads, or any if none does; returns its name."""
        victim = next((one for one in self.job_managers if one.leads()), self.job_managers[0])
        self._restart([victim], pause)
        return victim.name

    def restart_all(self, pause):
        self._restart(self.members(), pause)

    def revive(self, allowed):
        """Starts what has ended by itself; that may only be where `allowed`, and never by a signal. Returns what it did."""
        revived = []
        for member in self.members():
            with member.lock:
                code = member.process.poll()
                if code is None:
                    continue
                assert allowed and code > 0, f"{member.name} ended with {code}: {member.last_words()}"
                revived.append(f"{member.name} had ended ({member.last_words()})")
                member.start()
        return revived

    def _is_complete(self):
        self.revive(allowed=False)
        return any(one.leads() for one in self.job_managers) and len(self.rest.task_managers()) == len(self._task_managers)

    @staticmethod
    def _restart(members, pause):
        for member in members:  # Always in this order, so no two threads wait for each other.
            member.lock.acquire()
        try:
            for member in members:
                member.process.kill()
            for member in members:
                member.process.wait()
            time.sleep(pause)
            for member in members:
                member.start()
        finally:
            for member in members:
                member.lock.release()

    def __enter__(self):
        try:
            for member in self.members():
                member.start()
            clusters.wait_until("all TaskManagers are there", self._is_complete, START_SECONDS)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        started = [member for member in self.members() if member.process is not None]
        for member in started:
            member.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for member in started:
            try:
                member.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"{member.name} did not end in time; killed", flush=True)
                member.process.kill()
                member.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
