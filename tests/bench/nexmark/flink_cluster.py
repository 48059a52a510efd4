"""A Flink cluster on loopback: one JobManager, one TaskManager, and a client that submits SQL; all files in a temporary folder."""

import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

from cluster import Rest, show_logs, wait_until

HERE = pathlib.Path(__file__).resolve().parent
# What Flink's own start scripts give the JVM, as far as JDK 17 needs it.
JVM = ["-XX:+UseG1GC",
       *(f"--add-exports={module}=ALL-UNNAMED" for module in (
           "java.management/sun.management", "jdk.compiler/com.sun.tools.javac.api",
           "jdk.compiler/com.sun.tools.javac.file", "jdk.compiler/com.sun.tools.javac.parser",
           "jdk.compiler/com.sun.tools.javac.tree", "jdk.compiler/com.sun.tools.javac.util",
           "java.security.jgss/sun.security.krb5")),
       *(f"--add-opens={module}=ALL-UNNAMED" for module in (
           "java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio",
           "java.base/sun.nio.ch", "java.base/java.lang.reflect", "java.base/java.text", "java.base/java.time",
           "java.base/java.util", "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic",
           "java.base/java.util.concurrent.locks"))]


def fetch(offline=False):
    """Returns (folder of Flink's jars, folder of our classes for it); fetches and compiles what is missing."""
    done = subprocess.run([HERE / "flink/fetch", *(["--offline"] if offline else [])], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit("Flink could not be fetched; what to install is said above")
    jars, classes = done.stdout.split()
    return pathlib.Path(jars), pathlib.Path(classes)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class FlinkCluster:
    """A context manager; on failure it shows the logs."""

    def __init__(self, slots=2, memory="4g", checkpoint_seconds=10, settings=()):
        jars, classes = fetch()
        self.class_path = f"{classes}:{jars}/*"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-flink-"))
        self.processes = []
        rpc, rest = free_ports(2)
        configuration = {
            "jobmanager.rpc.address": "127.0.0.1", "jobmanager.rpc.port": rpc, "jobmanager.bind-host": "127.0.0.1",
            "taskmanager.host": "127.0.0.1", "taskmanager.bind-host": "127.0.0.1",
            "rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1", "rest.port": rest,
            "jobmanager.memory.process.size": "1600m", "taskmanager.memory.process.size": memory,
            "taskmanager.numberOfTaskSlots": slots, "parallelism.default": slots,
            "io.tmp.dirs": self.folder / "tmp", "state.backend.type": "rocksdb",
            "execution.checkpointing.incremental": "true",
            "execution.checkpointing.dir": f"file://{self.folder / 'checkpoints'}",
            "execution.checkpointing.interval": f"{checkpoint_seconds}s",
            "execution.checkpointing.checkpoints-after-tasks-finish": "false",
            **dict(settings),
        }
        (self.folder / "tmp").mkdir()
        (self.folder / "conf").mkdir()
        (self.folder / "conf/config.yaml").write_text(
            "".join(f"{name}: {value}\n" for name, value in configuration.items()))
        try:
            self.job_manager = self._start(
                "jobmanager", "JM", "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint")
            self.task_manager = self._start(
                "taskmanager", "TM", "org.apache.flink.runtime.taskexecutor.TaskManagerRunner")
            self.rest = Rest(f"127.0.0.1:{rest}")
            wait_until("Flink's TaskManager registered", self._registered, 180)
            self.client = self._spawn(
                "client", ["java", "-Xmx1g", *JVM, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", self.class_path,
                           "weir.nexmark.QueryDriver", "127.0.0.1", rest, HERE / "flink/queries"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except BaseException:
            self.close(failed=True)
            raise

    def _registered(self):
        for process in self.processes:
            assert process.poll() is None, f"a process of Flink ended with {process.returncode}"
        try:
            return len(self.rest.task_managers()) == 1
        except OSError:
            return False

    def _spawn(self, name, command, **options):
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen([str(word) for word in command], stderr=log, **options)
        self.processes.append(process)
        return process

    def _start(self, name, kind, main):
        """Starts a daemon with the JVM parameters that Flink derives from its memory settings."""
        conf = self.folder / "conf"
        asked = subprocess.run(
            ["java", "-cp", self.class_path, "org.apache.flink.runtime.util.bash.BashJavaUtils",
             f"GET_{kind}_RESOURCE_PARAMS", "--configDir", conf], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        answers = [line.split("BASH_JAVA_UTILS_EXEC_RESULT:", 1)[1]
                   for line in asked.stdout.splitlines() if "BASH_JAVA_UTILS_EXEC_RESULT:" in line]
        assert len(answers) == 2, f"Flink did not say the JVM parameters of its {name}: {asked.stdout}{asked.stderr}"
        return self._spawn(
            name, ["java", *answers[0].split(), *JVM, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", self.class_path,
                   main, "--configDir", conf, *answers[1].split()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def submit(self, query, **words):
        """Submits a query; returns the job's id. Words: events, rate, …; names with a dot are settings."""
        words = {"query": query, "output": "-", **words}
        self.client.stdin.write("\t".join(f"{name}={value}" for name, value in words.items()) + "\n")
        self.client.stdin.flush()
        return self._answer()["job"]

    def finish(self):
        """Waits for the job; returns {rows: of the sink, or None, milliseconds}."""
        return self._answer()

    def _answer(self):
        line = self.client.stdout.readline()
        answer = json.loads(line) if line else {"error": "the client ended"}
        if "error" in answer:
            raise RuntimeError(f"Flink: {answer['error']}")
        return answer

    def close(self, failed=False):
        for process in reversed(self.processes):
            if process.stdin:
                process.stdin.close()
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        if failed:
            show_logs(self.folder)
            print(f"--- Flink's files were in {self.folder}", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close(failed=kind is not None)
