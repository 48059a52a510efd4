"""What README.md shows is true: its job is the sample that the build compiles, and runs; its links lead somewhere."""

import pathlib
import re
import tempfile
import unittest

from cluster import JOBS, committed_lines, weir, weir_local

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


class ReadmeTest(unittest.TestCase):
    def test_its_job_is_the_sample(self):
        shown = re.search(r"```cpp\n(.*?)```", README, re.DOTALL).group(1)
        self.assertEqual(shown, (ROOT / "tests/e2e/sample_job/failed_logins.cc").read_text())

    def test_its_links_lead_somewhere(self):
        for link in re.findall(r"\]\(([^)#:]+)\)", README):
            self.assertTrue((ROOT / link).exists(), link)

    def test_the_sample_runs_on_a_cluster_and_without(self):
        log = "".join(f"sshd: {'Failed' if i % 3 == 0 else 'Accepted'} password {i}\n" for i in range(300))
        expected = {line: 1 for line in log.splitlines() if "Failed password" in line}
        library = JOBS / "libfailed_logins.so"
        with tempfile.TemporaryDirectory() as folder, weir_local("--task-managers", "1") as (_, rest, _pids):
            (pathlib.Path(folder) / "auth.log").write_text(log)
            for where in ([], ["--rest", rest.address]):
                out = f"alerts {len(where)}"
                weir("run", *where, library, "--", "--logs", "auth.log", "--out", out, cwd=folder)
                self.assertEqual(committed_lines(pathlib.Path(folder) / out), expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
