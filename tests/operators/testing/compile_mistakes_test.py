#!/usr/bin/env python3
"""The compiler's messages for frequent mistakes hold the sentence that says how to mend them, near the top."""

import pathlib
import re
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).with_name("compile_mistakes.cc")
COMPILER = sys.argv[1:]


class CompileMistakesTest(unittest.TestCase):
    def test_each_mistake_gets_its_sentence(self):
        result = subprocess.run([*COMPILER, "-fsyntax-only", SOURCE], capture_output=True, text=True)
        self.assertNotEqual(result.returncode, 0)
        expected = re.findall(r"// says: (.*)", SOURCE.read_text())
        self.assertEqual(len(expected), 6)
        errors = [line for line in result.stderr.splitlines() if "error:" in line]
        for sentence in expected:
            self.assertTrue(any(sentence in line for line in errors), f"{sentence}\n\n" + "\n".join(errors))
        # Few errors besides: a reader finds the sentence.
        self.assertLessEqual(len(errors), 4 * len(expected), "\n".join(errors))


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1]))
