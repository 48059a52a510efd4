"""Libraries that crash, loop, throw, are of another build or none at all: who submits them is told why, and the
JobManager serves on."""

import pathlib
import re
import unittest

from cluster import JOBS, Cluster, RestError, weir

BUILD_LIMIT = "jobmanager.job-builder.timeout=2 s"


class BrokenLibraryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(task_managers=1, slots=2, options=[BUILD_LIMIT])
        cls.rest = cls.cluster.rest

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def tearDown(self):
        self.assertEqual(self.rest.get("/overview")["taskmanagers"], 1, "the cluster does not serve any more")
        self.assertEqual(self.rest.get("/jobs")["jobs"], [])
        self.assertIsNone(self.cluster.job_manager.poll())

    def refusal(self, call):
        """Returns the text that the server refuses `call` with."""
        with self.assertRaises(RestError) as refused:
            call()
        self.assertEqual(refused.exception.status, 400, refused.exception)
        return refused.exception.body

    def run_broken(self, entry):
        library = self.rest.upload(JOBS / "libbroken_jobs.so")
        return self.refusal(lambda: self.rest.run(library, entry=entry))

    def test_a_crash_in_build_is_named_with_its_signal(self):
        self.assertRegex(self.run_broken("crash"), r"crashed.*signal 11")

    def test_a_build_that_loops_is_stopped(self):
        self.assertIn("did not build its graph within 2s", self.run_broken("loop"))

    def test_an_exception_and_an_error_come_with_their_text(self):
        self.assertIn("thrown on purpose", self.run_broken("throw"))
        self.assertIn("refused on purpose", self.run_broken("refuse"))

    def test_an_entry_that_is_not_there_is_refused_with_the_nearest(self):
        self.assertIn("crash", self.run_broken("crush"))

    def patched(self, name, change):
        content = (JOBS / "libbroken_jobs.so").read_bytes()
        path = pathlib.Path(self.cluster.folder) / name
        path.write_bytes(change(content))
        return path

    def test_another_abi_stamp_is_refused_with_both_named(self):
        def other_stamp(content):
            changed, count = re.subn(rb"headers=[0-9a-f]{16}", b"headers=0123456789abcdef", content)
            self.assertGreater(count, 0, "no stamp in the library")
            return changed
        path = self.patched("libold.so", other_stamp)
        own = re.search(rb"headers=([0-9a-f]{16})", (JOBS / "libbroken_jobs.so").read_bytes()).group(1).decode()
        refusal = self.refusal_of_upload(path)
        self.assertIn("headers=0123456789abcdef", refusal)
        self.assertIn(f"headers={own}", refusal)

    def refusal_of_upload(self, path):
        with self.assertRaises(RestError) as refused:
            self.rest.upload(path)
        self.assertEqual(refused.exception.status, 400, refused.exception)
        done = weir("upload", "--rest", self.rest.address, path, check=1)
        self.assertIn("librar", done.stderr)
        return refused.exception.body

    def test_files_that_are_no_library_are_refused(self):
        self.assertIn("not a job library", self.refusal_of_upload(self.patched("libtext.so", lambda _: b"hello, world\n" * 99)))
        self.assertIn("librar", self.refusal_of_upload(self.patched("libempty.so", lambda _: b"")))
        self.assertIn("librar", self.refusal_of_upload(self.patched("libhalf.so", lambda content: content[: len(content) // 2])))

    def test_the_command_line_tells_why_too(self):
        done = weir("run", "--rest", self.rest.address, "--entry", "refuse", JOBS / "libbroken_jobs.so", check=1)
        self.assertIn("refused on purpose", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
