#!/usr/bin/env python3
"""Writes case_folding.cc: simple case folding for all of Unicode, from Python's own Unicode data.

Usage: python3 make_case_folding.py > case_folding.cc, then clang-format."""


def utf8(code):
    return len(chr(code).encode("utf-8", "surrogatepass"))


def simple_fold(code):
    """Returns what Unicode folds `code` to, one character to one."""
    folded = chr(code).casefold()
    if len(folded) == 1:
        return ord(folded)
    lower = chr(code).lower()  # Full folding gives several; the simple one is then the lower case.
    return ord(lower) if len(lower) == 1 else code


def table():
    folds = {c: simple_fold(c) for c in range(0x80, 0x110000) if not 0xD800 <= c <= 0xDFFF}
    folds = {c: f for c, f in folds.items() if c != f}
    # A folded text must not be longer than the text: where the folded letter is, the other one stands
    # for both.
    for code, folded in list(folds.items()):
        if utf8(folded) > utf8(code):
            del folds[code]
            folds[folded] = code
    assert all(folded not in folds for folded in folds.values())
    return folds


def ranges(folds):
    result = []
    for code in sorted(folds):
        delta = folds[code] - code
        if result:
            first, last, step, old = result[-1]
            gap = code - last
            if old == delta and gap in (1, 2) and (first == last or step == gap):
                result[-1] = (first, code, gap, old)
                continue
        result.append((code, code, 1, delta))
    return result


def main():
    rows = ranges(table())
    print("// Made by make_case_folding.py; do not edit.\n")
    print('#include "jobs/sigma/engine/internal/case_folding.h"\n')
    print("#include <algorithm>\n#include <iterator>\n")
    print("namespace weir::sigma {\nnamespace {\n")
    print("// Every `step`-th character from `first` to `last` folds to itself plus `delta`.")
    print("struct FoldRange {\n  char32_t first;\n  char32_t last;\n  int step;\n  int delta;\n};\n")
    print("constexpr FoldRange kRanges[] = {")
    for first, last, step, delta in rows:
        print(f"    {{0x{first:x}, 0x{last:x}, {step}, {delta}}},")
    print("};\n\n}  // namespace\n")
    print("char32_t FoldCharacter(char32_t character) {")
    print("  const auto* const range =")
    print("      std::upper_bound(std::begin(kRanges), std::end(kRanges), character,")
    print("                       [](char32_t c, const FoldRange& one) { return c < one.first; });")
    print("  if (range == std::begin(kRanges)) return character;")
    print("  const FoldRange& found = *(range - 1);")
    print("  const bool within = character <= found.last &&")
    print("                      static_cast<int>(character - found.first) % found.step == 0;")
    print("  return within ? static_cast<char32_t>(static_cast<int>(character) + found.delta)")
    print("                : character;\n}\n")
    print("}  // namespace weir::sigma")


main()
