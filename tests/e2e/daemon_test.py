"""The daemons as processes: what they say of wrong settings, and what they leave behind."""

import os
import pathlib
import signal
import subprocess
import threading
import unittest

from cluster import BIN, JOBS, Cluster, wait_until


class DaemonTest(unittest.TestCase):
    def test_wrong_settings_are_the_users_mistake(self):
        for daemon in ("weir-jobmanager", "weir-taskmanager"):
            for wrong in (["-Drest.prot=1"], ["-Dtaskmanager.memory.size=much"], ["--config", "/nonexistent"], ["--hlep"]):
                with self.subTest(daemon=daemon, wrong=wrong):
                    done = subprocess.run([BIN / daemon, *wrong], capture_output=True, text=True, timeout=60)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertTrue(done.stderr)

    def test_a_builder_does_not_outlive_its_job_manager(self):
        with Cluster(task_managers=0) as cluster:
            library = cluster.rest.upload(JOBS / "libbroken_jobs.so")
            def submit():
                try:
                    cluster.rest.run(library, entry="loop")
                except OSError:
                    pass  # The JobManager dies before it answers.
            submitter = threading.Thread(target=submit)
            submitter.start()
            def builders():
                found = []
                for folder in pathlib.Path("/proc").iterdir():
                    try:
                        words = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else []
                        state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] if words else "Z"
                    except OSError:
                        continue
                    parent = str(cluster.job_manager.pid).encode()
                    if state != "Z" and b"--parent" in words and words[words.index(b"--parent") + 1] == parent and b"loop" in words:
                        found.append(int(folder.name))
                return found
            wait_until("the library is being built", builders)
            os.kill(cluster.job_manager.pid, signal.SIGKILL)
            cluster.job_manager.wait()
            submitter.join()
            wait_until("the builder is gone", lambda: not builders())


if __name__ == "__main__":
    unittest.main(verbosity=2)
