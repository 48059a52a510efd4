"""Records of 40 MB pass three key exchanges between TaskManagers, by TCP, and arrive as they were."""

import json
import pathlib
import unittest

from cluster import JOBS, Cluster, committed_lines

MEGABYTES = 40
RECORDS = 8


class LargeRecordTest(unittest.TestCase):
    def test_three_exchanges(self):
        cluster = Cluster(task_managers=3, slots=1, options=["execution.checkpointing.interval=500 ms"])
        try:
            out = pathlib.Path(cluster.folder) / "out"
            library = cluster.rest.upload(JOBS / "liblarge_records.so")
            job = cluster.rest.run(library, ["--records", RECORDS, "--megabytes", MEGABYTES, "--out", out], parallelism=3)
            cluster.rest.wait_for_state(job, "FINISHED", seconds=240)
            results = [json.loads(line) for line in committed_lines(out)]
        finally:
            cluster.close()
        self.assertEqual(sorted(result["index"] for result in results), list(range(RECORDS)))
        for result in results:
            self.assertEqual(result["bytes"], MEGABYTES << 20)
            self.assertTrue(result["intact"], result["index"])
        # A TaskManager has one slot, so a record that changes its subtask goes by TCP. The generator's subtask i makes
        # the records i, i + 3, ….
        paths = [[result["index"] % 3, *result["path"]] for result in results]
        remote = [sum(a != b for a, b in zip(path, path[1:])) for path in paths]
        self.assertEqual(max(remote), 3, f"no record went by TCP three times: {paths}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
