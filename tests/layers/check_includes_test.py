#!/usr/bin/env python3
"""Runs check_includes.py on small trees, good and bad."""

import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_includes.py")


class CheckIncludesTest(unittest.TestCase):
    def check(self, files):
        """Writes `files` (path to text) to an empty tree; returns the exit code and the lines printed."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                    out.write(text)
            result = subprocess.run([sys.executable, SCRIPT, "--root", root], capture_output=True, text=True,
                                    check=False)
            return result.returncode, result.stdout.splitlines()

    def assert_refused(self, path, include, reason):
        code, lines = self.check({path: f"#pragma once\n\n#include {include}\n"})
        self.assertEqual(code, 1, lines)
        self.assertTrue(lines[0].startswith(f"{path}:3: includes "), lines)
        self.assertIn(reason, lines[0])

    def assert_accepted(self, path, include):
        code, lines = self.check({path: f"#include {include}\n"})
        self.assertEqual(code, 0, lines)

    def test_accepts_includes_that_go_down(self):
        self.assert_accepted("runtime/task/a.cc", '"runtime/network/b.h"')
        self.assert_accepted("runtime/record/a.h", '"runtime/metrics/b.h"')
        self.assert_accepted("runtime/network/a.cc", '"proto/data.pb.h"')
        self.assert_accepted("operators/api/a.h", '"runtime/task/b.h"')
        self.assert_accepted("jobs/sigma/job.cc", '"operators/api/b.h"')
        self.assert_accepted("jobs/sigma/job.cc", '"jobs/sigma/engine/b.h"')
        self.assert_accepted("jobs/sigma/engine/a.cc", '"runtime/base/b.h"')
        self.assert_accepted("jobmanager/rest/a.cc", '"jobmanager/b.h"')
        self.assert_accepted("client/a.cc", '"taskmanager/b.h"')
        self.assert_accepted("tests/e2e/a.cc", '"client/b.h"')
        self.assert_accepted("tests/e2e/a.cc", '"tests/support/b.h"')

    def test_refuses_includes_that_go_up(self):
        self.assert_refused("runtime/base/a.h", '"runtime/metrics/b.h"', "runtime/base may include only")
        self.assert_refused("runtime/state/a.h", '"runtime/task/b.h"', "runtime/state may include only")
        self.assert_refused("runtime/record/a.cc", '"proto/data.pb.h"', "runtime/record may include only")
        self.assert_refused("runtime/task/a.cc", '"operators/api/b.h"', "runtime/task may include only")
        self.assert_refused("operators/api/a.h", '"jobs/ndr/b.h"', "operators may include only")
        self.assert_refused("jobs/ndr/a.h", '"jobs/sigma/b.h"', "jobs/ndr may include only")
        self.assert_refused("jobs/sigma/engine/a.h", '"runtime/record/b.h"', "jobs/sigma/engine may include only")
        self.assert_refused("jobs/sigma/engine/a.h", '"jobs/sigma/b.h"', "jobs/sigma/engine may include only")
        self.assert_refused("jobmanager/a.h", '"taskmanager/b.h"', "jobmanager may include only")
        self.assert_refused("taskmanager/a.h", '"operators/api/b.h"', "taskmanager may include only")
        self.assert_refused("client/a.h", '"runtime/graph/b.h"', "client may include only")

    def test_refuses_tests_from_outside(self):
        self.assert_refused("runtime/base/a.h", '"tests/support/local_job.h"', "only tests include tests/")

    def test_refuses_libraries_away_from_home(self):
        self.assert_refused("runtime/task/a.cc", "<rocksdb/db.h>", "RocksDB is used only in runtime/state")
        self.assert_refused("operators/connectors/file/a.cc", "<librdkafka/rdkafka.h>", "librdkafka")
        self.assert_refused("runtime/network/a.cc", "<grpcpp/grpcpp.h>", "gRPC")
        self.assert_refused("client/a.cc", '"proto/control.grpc.pb.h"', "gRPC")
        self.assert_refused("jobmanager/a.cc", "<boost/beast/http.hpp>", "Boost.Beast")
        self.assert_refused("runtime/task/a.cc", "<spdlog/spdlog.h>", "spdlog")

    def test_accepts_libraries_at_home_and_in_tests(self):
        self.assert_accepted("runtime/state/a.cc", "<rocksdb/db.h>")
        self.assert_accepted("operators/connectors/kafka/a.cc", "<librdkafka/rdkafka.h>")
        self.assert_accepted("taskmanager/a.cc", "<grpcpp/grpcpp.h>")
        self.assert_accepted("client/a.cc", "<boost/beast/http.hpp>")
        self.assert_accepted("tests/e2e/a.cc", "<librdkafka/rdkafka.h>")

    def test_refuses_relative_includes(self):
        self.assert_refused("runtime/base/a.h", '"../task/b.h"', "from the repository root")
        code, lines = self.check({"runtime/base/a.h": '#include "b.h"\n', "runtime/base/b.h": "\n"})
        self.assertEqual(code, 1)
        self.assertIn("runtime/base/a.h:1:", lines[0])

    def test_names_every_error_and_counts_them(self):
        code, lines = self.check({
            "runtime/base/a.h": '#include "runtime/task/b.h"\n  #  include "jobs/ndr/b.h"\n// #include "jobs/c.h"\n',
            "runtime/graph/a.h": '#include "runtime/base/a.h"\n',
        })
        self.assertEqual(code, 1)
        self.assertEqual(len(lines), 3, lines)
        self.assertTrue(lines[1].startswith("runtime/base/a.h:2:"), lines)
        self.assertEqual(lines[2], "layers: 2 files, 2 includes that go up")

    def test_refuses_a_folder_that_no_module_holds(self):
        code, lines = self.check({"misc/a.h": "\n"})
        self.assertEqual(code, 1)
        self.assertIn("misc/a.h:1: no module holds this folder", lines[0])

    def test_leaves_build_folders_alone(self):
        code, _ = self.check({"build/x/a.h": '#include "../b.h"\n', "runtime/base/a.h": "\n"})
        self.assertEqual(code, 0)


if __name__ == "__main__":
    unittest.main()
