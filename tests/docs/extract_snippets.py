#!/usr/bin/env python3
"""Makes one C++ file of the cpp blocks of a Markdown page, so that the compiler reads what users do.

All blocks of a page, in order, are one translation unit: #include lines come first, the rest stands in a namespace of
the page's own that uses namespace weir. #line directives make the compiler name the page and line of an error.
"""

import argparse
import os
import re
import sys

FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*([^\s`]*)")
INCLUDE = re.compile(r"^\s*#\s*include\b")


class PageError(Exception):
    pass


def cpp_blocks(text, page):
    """Returns (line number of the first line, lines) of each cpp block; lines count from 1."""
    blocks = []
    block = None  # (line, lines, is C++, fence, indentation)
    for number, line in enumerate(text.splitlines(), start=1):
        fence = FENCE.match(line)
        if block is None:
            if fence:
                block = (number + 1, [], fence[3] in ("cpp", "c++"), fence[2], len(fence[1]))
            continue
        closes = fence and not fence[3] and fence[2][0] == block[3][0] and len(fence[2]) >= len(block[3])
        if closes:
            if block[2]:
                blocks.append((block[0], block[1]))
            block = None
        else:
            indentation = len(line) - len(line.lstrip())
            block[1].append(line[min(block[4], indentation):])
    if block is not None:
        raise PageError(f"{page}:{block[0] - 1}: the block that begins here does not end")
    return blocks


def translation_unit(text, page):
    """Returns the page's C++ text. `page` is the path that errors name."""
    includes = []
    body = []
    for first, lines in cpp_blocks(text, page):
        body.append(f'#line {first} "{page}"')
        for offset, line in enumerate(lines):
            if INCLUDE.match(line):
                includes += [f'#line {first + offset} "{page}"', line]
                body.append("")
            else:
                body.append(line)
    name = re.sub(r"\W", "_", os.path.splitext(os.path.basename(page))[0])
    return "\n".join(
        includes
        + [f"namespace weir {{}}", f"namespace docs_{name} {{", "using namespace weir;"]
        + body
        + [f"}}  // namespace docs_{name}", ""]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder that errors name the page's path from")
    parser.add_argument("page")
    parser.add_argument("output")
    arguments = parser.parse_args()
    with open(arguments.page, encoding="utf-8") as file:
        text = file.read()
    try:
        unit = translation_unit(text, os.path.relpath(arguments.page, arguments.root))
    except PageError as error:
        print(error, file=sys.stderr)
        return 1
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(unit)
    return 0


if __name__ == "__main__":
    sys.exit(main())
