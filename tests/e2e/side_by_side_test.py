"""Two jobs on the same TaskManagers: cancelling one leaves the other alone."""

import json
import unittest

from cluster import Cluster, committed_lines, library_of, wait_until, weir


class SideBySideTest(unittest.TestCase):
    def test_cancelling_one_job_leaves_the_other_alone(self):
        with Cluster(task_managers=2, slots=4) as cluster:
            rest = cluster.rest
            library = library_of(rest, "keyed_count")

            def start(name, records, rate):
                return rest.run(
                    library, ["--records", records, "--keys", 100, "--rate", rate, "--out", cluster.folder / name],
                    parallelism=2, entry="keyed_count", settings={"pipeline.name": name})

            endless = start("endless", 1_000_000_000, 20_000)
            other = start("other", 100_000, 20_000)
            for job in (endless, other):
                rest.wait_for_state(job, "RUNNING")
                wait_until("a checkpoint has completed", lambda job=job: rest.completed_checkpoints(job) > 0)
            names = {job["name"] for job in rest.get("/jobs/overview")["jobs"] if job["state"] == "RUNNING"}
            self.assertEqual(names, {"endless", "other"})
            weir("cancel", "--rest", rest.address, "endless")
            rest.wait_for_state(endless, "CANCELED")
            rest.wait_for_state(other, "FINISHED", 120)
            self.assertEqual(rest.restored(other), 0)
            self.assertEqual(rest.failures(other), [])
            counts = [json.loads(line)["count"] for line in committed_lines(cluster.folder / "other").elements()]
            self.assertEqual((len(counts), sum(counts)), (100, 100_000))
            self.assertFalse(committed_lines(cluster.folder / "endless"))
            self.assertEqual(rest.get("/overview")["slots-available"], 8)


if __name__ == "__main__":
    unittest.main(verbosity=2)
