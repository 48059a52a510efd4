#!/usr/bin/env python3
"""Runs every `sh` block of a Markdown page with the programs of a build, and fails where a command does.

Commands run in the current folder, one block after the other; a block ends at its first command that fails.
"""

import argparse
import os
import re
import subprocess
import sys

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="folder of the programs, put before PATH")
    parser.add_argument("page")
    arguments = parser.parse_args()
    with open(arguments.page, encoding="utf-8") as page:
        text = page.read()
    environment = dict(os.environ, PATH=arguments.bin + os.pathsep + os.environ.get("PATH", ""))
    failed = 0
    blocks = list(BLOCK.finditer(text))
    for block in blocks:
        line = text.count("\n", 0, block.start()) + 2
        result = subprocess.run(["bash", "-euo", "pipefail", "-c", block.group(1)], env=environment,
                                capture_output=True, text=True, check=False)
        if result.returncode == 0 and (result.stdout or result.stderr):
            continue
        failed += 1
        print(f"{arguments.page}:{line}: exit code {result.returncode}, "
              f"output:\n{result.stdout}{result.stderr}")
    print(f"{arguments.page}: {len(blocks)} blocks, {failed} failed")
    return 1 if failed or not blocks else 0


if __name__ == "__main__":
    sys.exit(main())
