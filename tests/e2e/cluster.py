"""Clusters of the shipped binaries for tests: every process on free ports of 127.0.0.1, all files in a temporary folder.

WEIR_TEST_BIN names the folder of the binaries, WEIR_TEST_JOBS the one of the tests' job libraries (ctest sets both).
"""

import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BIN = pathlib.Path(os.environ.get("WEIR_TEST_BIN", "build/release/bin")).resolve()
JOBS = pathlib.Path(os.environ.get("WEIR_TEST_JOBS", BIN.parent / "lib" / "test_jobs")).resolve()
TERMINAL = {"FINISHED", "FAILED", "CANCELED"}
POLL_SECONDS = 0.02


def wait_until(what, condition, seconds=60):
    """Returns the first true value of condition(); fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {seconds} s: {what}")
        time.sleep(POLL_SECONDS)


class RestError(Exception):
    def __init__(self, status, body):
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.body = body


class Rest:
    """Calls a JobManager's REST API; answers are parsed JSON."""

    def __init__(self, address):
        self.address = address

    def call(self, method, path, body=None, content_type="application/json"):
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(f"http://{self.address}{path}", data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise RestError(error.code, error.read().decode(errors="replace")) from None

    def get(self, path):
        return self.call("GET", path)

    def upload(self, path):
        """Returns the library's id."""
        boundary = "weir-e2e-boundary"
        name = pathlib.Path(path).name
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="jarfile"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode() + pathlib.Path(path).read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        answer = self.call("POST", "/jars/upload", body, f"multipart/form-data; boundary={boundary}")
        return answer["filename"].rsplit("/", 1)[-1]

    def run(self, library, arguments=(), parallelism=None, entry=None, settings=None):
        """Returns the job's id."""
        body = {"programArgsList": [str(argument) for argument in arguments]}
        if parallelism:
            body["parallelism"] = parallelism
        if entry:
            body["entryClass"] = entry
        if settings:
            body["flinkConfiguration"] = settings
        return self.call("POST", f"/jars/{library}/run", body)["jobid"]

    def state(self, job):
        return self.get(f"/jobs/{job}")["state"]

    def cancel(self, job):
        return self.call("PATCH", f"/jobs/{job}?mode=cancel")

    def task_managers(self):
        return self.get("/taskmanagers")["taskmanagers"]

    def completed_checkpoints(self, job):
        return self.get(f"/jobs/{job}/checkpoints")["counts"]["completed"]

    def restored(self, job):
        return self.get(f"/jobs/{job}/checkpoints")["counts"]["restored"]

    def failures(self, job):
        return self.get(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]

    def wait_for_state(self, job, wanted, seconds=60):
        """Waits until the job is in one of the states `wanted`; fails at once if it ends in another."""
        wanted = {wanted} if isinstance(wanted, str) else set(wanted)

        def reached():
            state = self.state(job)
            if state in TERMINAL and state not in wanted:
                raise AssertionError(f"job {job} is {state}, not {wanted}: {self.failures(job)}")
            return state in wanted

        wait_until(f"job {job} {wanted}", reached, seconds)


def library_of(rest, entry):
    """Returns the id of the shipped library that has the job `entry`."""
    for library in rest.get("/jars")["files"]:
        if any(job["name"] == entry for job in library["entry"]):
            return library["id"]
    raise AssertionError(f"no library has the job {entry}")


class Cluster:
    """A JobManager and TaskManagers that a test can kill. A context manager; on failure it shows the logs."""

    def __init__(self, task_managers=2, slots=4, options=(), checkpoint_dir=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-e2e-"))
        self.slots = slots
        self.checkpoint_dir = checkpoint_dir or self.folder / "checkpoints"
        self.options = [f"-Dio.tmp.dirs={self.folder / 'tmp'}"] + [f"-D{option}" for option in options]
        self.processes = []  # (name, Popen)
        self.job_manager = None
        self.task_managers = []
        self.rest = None
        (self.folder / "tmp").mkdir()
        try:
            self._start_job_manager()
            for _ in range(task_managers):
                self.start_task_manager()
            self.wait_for_task_managers(task_managers)
        except BaseException:
            self.close(failed=True)
            raise

    def _spawn(self, name, command, **options):
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stderr=log, **options)
        self.processes.append((name, process))
        return process

    def _start_job_manager(self):
        self.job_manager = self._spawn(
            "jobmanager",
            [BIN / "weir-jobmanager", "--rest-port", 0, "--rpc-port", 0, "--checkpoint-dir",
             self.checkpoint_dir, *self.options],
            stdout=subprocess.PIPE)
        line = self.job_manager.stdout.readline().decode()
        match = re.search(r" ready rest=(\S+) rpc=(\S+)", line)
        assert match, f"the JobManager did not get ready: {line!r}"
        self.rest = Rest(match.group(1))
        self.rpc = match.group(2)

    def start_task_manager(self):
        name = f"taskmanager-{len([name for name, _ in self.processes if name.startswith('task')]) + 1}"
        process = self._spawn(
            name,
            [BIN / "weir-taskmanager", "--jobmanager", self.rpc, "--slots", self.slots, *self.options],
            stdout=subprocess.DEVNULL)
        self.task_managers.append(process)
        return process

    def wait_for_task_managers(self, count):
        def registered():
            for process in [self.job_manager, *self.task_managers]:
                assert process.poll() is None, f"a process ended with {process.returncode}"
            return len(self.rest.task_managers()) == count
        wait_until(f"{count} TaskManagers registered", registered)

    def kill_task_manager(self, index):
        """Kills (-9) the TaskManager at `index` of those alive."""
        process = self.task_managers.pop(index)
        process.kill()
        process.wait()

    def close(self, failed=False):
        for _, process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 15
        for name, process in self.processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"{name} did not end in time; killed", file=sys.stderr)
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        if failed:
            show_logs(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close(failed=kind is not None)


def show_logs(folder, lines=60):
    for log in sorted(pathlib.Path(folder).rglob("*.log")):
        print(f"--- {log.name}, last {lines} lines", file=sys.stderr)
        sys.stderr.write("".join(log.read_text(errors="replace").splitlines(True)[-lines:]))


def weir(*arguments, check=0, seconds=120, **options):
    """Runs `weir` and returns what came of it; fails on another exit code than `check` (None: any)."""
    environment = {key: value for key, value in os.environ.items() if key != "WEIR_REST"}
    done = subprocess.run(
        [str(BIN / "weir"), *[str(argument) for argument in arguments]], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=seconds, env=environment, **options)
    if check is not None and done.returncode != check:
        raise AssertionError(
            f"weir {' '.join(map(str, arguments))}: exit code {done.returncode}, not {check}\n{done.stdout}{done.stderr}")
    return done


@contextlib.contextmanager
def weir_local(*arguments, folder=None):
    """Runs `weir local` on a free port; yields (process, Rest, pids by name)."""
    with tempfile.TemporaryDirectory(prefix="weir-e2e-") as own:
        folder = pathlib.Path(folder or own) / "data"
        process = subprocess.Popen(
            [str(BIN / "weir"), "local", "--rest-port", "0", "--dir", str(folder), *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline()
            match = re.match(r"weir local ready rest=(\S+)", line)
            if not match:
                process.kill()
                raise AssertionError(f"weir local did not get ready: {line}{process.stderr.read()}")
            pids = {}
            while not (line := process.stdout.readline()).startswith("folder"):
                name, pid = re.match(r"(\S+) pid=(\d+)", line).groups()
                pids[name] = int(pid)
            process.stdout.readline()
            yield process, Rest(match.group(1)), pids
        except BaseException:
            show_logs(folder)
            raise
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
            process.stderr.close()


def is_alive(pid):
    """Returns whether a process runs (a zombie does not)."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def committed_lines(folder):
    """Returns the lines of all committed files as a multiset."""
    lines = collections.Counter()
    for path in pathlib.Path(folder).rglob("*.ndjson"):
        if not path.name.startswith("."):
            lines.update(path.read_text().splitlines())
    return lines
