#!/usr/bin/env python3
"""Tests extract_snippets.py, with the compiler that builds the pages."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

sys.dont_write_bytecode = True

import extract_snippets  # noqa: E402

COMPILER = os.environ.get("CXX", "c++")


def compile_page(page_text):
    """Returns the compiler's messages for a page called guide.md; empty if it compiles."""
    unit = extract_snippets.translation_unit(textwrap.dedent(page_text), "docs/guide.md")
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "guide.cc")
        with open(source, "w", encoding="utf-8") as file:
            file.write(unit)
        result = subprocess.run([COMPILER, "-std=c++20", "-fsyntax-only", source], capture_output=True, text=True)
        return result.stderr if result.returncode != 0 else ""


class ExtractSnippetsTest(unittest.TestCase):
    def test_later_blocks_see_earlier_ones_and_includes_of_all(self):
        self.assertEqual(compile_page("""\
            ```cpp
            std::string Greeting() { return "hello"; }
            ```
            Text, and a block that is not C++:
            ```sh
            this is ( not C++
            ```
            - in a list:
              ```cpp
              #include <string>
              std::string Twice() { return Greeting() + Greeting(); }
              ```
            """), "")

    def test_an_error_names_the_page_and_its_line(self):
        messages = compile_page("""\
            # A page

            ```cpp
            int first = 1;
            ```
            ```cpp
            #include <string>
            int second = first;
            int third = nowhere;
            ```
            """)
        self.assertIn("docs/guide.md:9:", messages)
        self.assertNotIn("docs/guide.md:8:", messages)

    def test_a_missing_header_names_its_line(self):
        self.assertIn("docs/guide.md:2:", compile_page('```cpp\n#include "no/such/header.h"\n```\n'))

    def test_a_block_without_end_is_an_error(self):
        with self.assertRaisesRegex(extract_snippets.PageError, "guide.md:2: "):
            extract_snippets.cpp_blocks("text\n```cpp\nint x;\n", "guide.md")

    def test_a_longer_fence_may_hold_a_shorter_one(self):
        blocks = extract_snippets.cpp_blocks("````md\n```cpp\nint x;\n```\n````\n```cpp\nint y;\n```\n", "guide.md")
        self.assertEqual(blocks, [(7, ["int y;"])])


if __name__ == "__main__":
    sys.exit(unittest.main())
