"""`weir local` and the commands that ask it: run, list, info, cancel, checkpoints; what it does when processes die."""

import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import unittest

from cluster import BIN, committed_lines, is_alive, wait_until, weir, weir_local


class LocalTest(unittest.TestCase):
    def test_runs_a_job_on_its_cluster_and_shows_it(self):
        with tempfile.TemporaryDirectory() as folder, weir_local() as (process, rest, pids):
            text = pathlib.Path(folder) / "text.ndjson"
            text.write_text("to be or not to be\n" * 3)
            done = weir("run", "--rest", rest.address, "--name", "my words", "word_count", "--", "--input", "text.ndjson",
                        "--out", "counts", cwd=folder)
            self.assertIn("FINISHED", done.stderr)
            counts = {}
            for line in committed_lines(pathlib.Path(folder) / "counts"):
                record = json.loads(line)
                counts[record["word"]] = max(record["count"], counts.get(record["word"], 0))
            self.assertEqual(counts, {"to": 6, "be": 6, "or": 3, "not": 3})

            listed = json.loads(weir("list", "--json", "--rest", rest.address).stdout)["jobs"]
            self.assertEqual([(job["name"], job["state"]) for job in listed], [("my words", "FINISHED")])
            self.assertIn("my words", weir("list", "--rest", rest.address).stdout)
            job = listed[0]["jid"]
            self.assertIn("completed", weir("checkpoints", "--rest", rest.address, job[:8]).stdout)

            info = json.loads(weir("info", "--json", "--rest", rest.address).stdout)
            self.assertEqual(info["overview"]["taskmanagers"], 2)
            self.assertEqual(info["overview"]["jobs-finished"], 1)
            self.assertIn("1 finished", weir("info", "--rest", rest.address).stdout)
            self.assertIn("FINISHED", weir("cancel", "--rest", rest.address, job, check=1).stderr)

            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(40), 0)
            self.assertFalse([name for name, pid in pids.items() if is_alive(pid)])

    def test_replaces_a_taskmanager_that_dies(self):
        with weir_local("--task-managers", "1") as (process, rest, pids):
            before = rest.task_managers()[0]["id"]
            os.kill(pids["taskmanager-1"], signal.SIGKILL)
            wait_until("a new TaskManager has registered",
                       lambda: [one for one in rest.task_managers() if one["id"] != before])
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(40), 0)

    def test_takes_its_children_along_when_it_is_killed(self):
        with weir_local() as (process, _, pids):
            process.kill()
            process.wait()
            wait_until("all children have died", lambda: not any(is_alive(pid) for pid in pids.values()))

    def test_fails_when_its_jobmanager_dies(self):
        with weir_local() as (process, _, pids):
            os.kill(pids["jobmanager"], signal.SIGKILL)
            self.assertEqual(process.wait(40), 1)
            self.assertIn("jobmanager ended: signal 9", process.stderr.read())
            self.assertFalse([name for name, pid in pids.items() if is_alive(pid)])

    def test_says_why_it_does_not_start(self):
        with tempfile.TemporaryDirectory() as folder, weir_local("--task-managers", "1") as (_, rest, _pids):
            port = rest.address.rsplit(":", 1)[1]
            done = weir("local", "--rest-port", port, "--dir", folder, check=1)
            self.assertIn(port, done.stderr)
        done = weir("local", "-Drest.prot=1", check=2)
        self.assertIn('did you mean "rest.port"?', done.stderr)


class CommandTest(unittest.TestCase):
    def test_says_so_when_nothing_listens(self):
        for command in (["list"], ["info"], ["cancel", "0" * 32], ["checkpoints", "x"], ["run", "word_count"]):
            done = weir(command[0], "--rest", "127.0.0.1:1", *command[1:], check=1)
            self.assertIn("nothing listens at 127.0.0.1:1", done.stderr)

    def test_refuses_unknown_jobs_with_the_nearest_one(self):
        done = weir("run", "word_cuont", check=1)
        self.assertIn('did you mean "word_count"?', done.stderr)
        self.assertIn("cannot open the file", weir("run", "./libnowhere.so", check=1).stderr)


class InterruptTest(unittest.TestCase):
    """Ctrl-C while `weir run` waits."""

    def interrupt_run(self, folder, *where):
        """Runs a job without end, interrupts once it runs; returns (exit code, stderr)."""
        process = subprocess.Popen(
            [str(BIN / "weir"), "run", *where, "keyed_count", "--", "--records", "1000000000", "--rate", "1000", "--out",
             f"{folder}/counts"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"TMPDIR": str(folder)})
        try:
            seen = ""
            while "is RUNNING" not in seen:
                line = process.stderr.readline()
                self.assertTrue(line, f"weir run ended: {seen}")
                seen += line
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=60)
            return process.returncode, seen + rest
        finally:
            process.kill()
            process.wait()
            process.stderr.close()

    def test_leaves_the_job_of_a_cluster_running(self):
        with tempfile.TemporaryDirectory() as folder, weir_local("--task-managers", "1") as (_, rest, _pids):
            code, text = self.interrupt_run(folder, "--rest", rest.address)
            self.assertEqual(code, 130, text)
            job = rest.get("/jobs")["jobs"][0]["id"]
            self.assertIn(f"weir cancel --rest {rest.address} {job}", text)
            self.assertEqual(rest.state(job), "RUNNING")
            weir("cancel", "--rest", rest.address, job)
            rest.wait_for_state(job, "CANCELED")

    def test_cancels_the_job_of_this_process(self):
        with tempfile.TemporaryDirectory() as folder:
            code, text = self.interrupt_run(folder)
            self.assertEqual(code, 3, text)
            self.assertIn("CANCELED", text)
            # Loaded libraries are shared by all processes and outlive them.
            left = {path.name for path in pathlib.Path(folder).iterdir() if not path.name.startswith("weir-libraries")}
            self.assertEqual(left - {"counts"}, set(), "files were left in the temporary folder")


class RunInProcessTest(unittest.TestCase):
    def test_runs_a_job_without_a_cluster(self):
        with tempfile.TemporaryDirectory() as folder:
            done = weir("run", "--parallelism", "3", "--json", "keyed_count", "--", "--records", "10000", "--keys", "10",
                        "--out", "counts", cwd=folder)
            self.assertEqual(json.loads(done.stdout)["state"], "FINISHED")
            lines = committed_lines(pathlib.Path(folder) / "counts")
            self.assertEqual(len(lines), 10)
            self.assertEqual(sum(json.loads(line)["count"] for line in lines), 10000)

    def test_finds_the_bundled_lateral_movement(self):
        events = pathlib.Path(__file__).resolve().parents[2] / "jobs/ndr/events/lateral-movement.ndjson"
        with tempfile.TemporaryDirectory() as folder:
            weir("run", "ndr", "--", "--events", events, "--detections", "found.db", cwd=folder)
            with contextlib.closing(sqlite3.connect(pathlib.Path(folder) / "found.db")) as database:
                rows = database.execute("SELECT detection_type, src_ip, severity, signal_count FROM detections").fetchall()
            self.assertEqual(rows, [("LATERAL_MOVEMENT", "172.20.4.23", "CRITICAL", 3)])

    def test_tells_the_cause_when_the_job_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            done = weir("run", "word_count", "--", "--input", "nowhere.txt", "--out", "counts", cwd=folder, check=1)
            self.assertIn("nowhere.txt", done.stderr)
            done = weir("run", "word_count", "--", "--inptu", "x", check=1)
            self.assertIn("--input", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
