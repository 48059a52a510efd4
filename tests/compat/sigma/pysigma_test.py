#!/usr/bin/env python3
"""Compares how rules are understood with pySigma, rule by rule: the tree of tests of each condition.

Usage: pysigma_test.py STRUCTURE_BINARY CASES_FOLDER RULES_FOLDER VENV_FOLDER

Reads all conformance cases and, where they are there, SigmaHQ's rules. Installs pySigma into
VENV_FOLDER; exits with 77 (skipped) where that is not possible."""

import glob
import json
import os
import subprocess
import sys
import tempfile

PYSIGMA = "pysigma==2.0.1"

# Cases on which the two differ on purpose, by the reason; docs/guides/sigma-rules.md has them too.
DIFFERENCES_BY_REASON = {
    "taken here, since the meaning is clear": [
        "cidr_and_fieldref/fieldref_cased", "cidr_and_fieldref/fieldref_contains_before",
        "comparisons/beyond_64_bits", "comparisons/exponent", "comparisons/quoted_number",
        "comparisons/unsigned_64_bits", "conditions/dash_and_dot_in_names",
        "conditions/glob_question_mark", "conditions/glob_with_dash", "conditions/two_of_them",
        "conditions/upper_case_words", "encodings/base64_of_a_number",
        "encodings/utf16le_base64", "encodings/wide_surrogates",
        "null_and_types/contains_an_unquoted_number", "null_and_types/date_is_text"],
    "refused here, since it can never match or says two things": [
        "cidr_and_fieldref/fieldref_behind_base64", "cidr_and_fieldref/fieldref_nothing",
        "conditions/two_selections_of_one_name", "documents/no_id",
        "encodings/base64offset_short", "strings/empty_list", "strings/field_twice",
        "strings/startswith_and_endswith", "strings/two_places", "time/day_0", "time/fraction",
        "time/hour_24", "time/minute_60", "time/month_13", "time/week_54"],
    "refused here: keywords have no field to test": [
        "cidr_and_fieldref/fieldref_keyword", "cidr_and_fieldref/keyword", "comparisons/keyword",
        "fields_and_keywords/keyword_endswith", "fields_and_keywords/keyword_list_in_list",
        "fields_and_keywords/keyword_neq", "fields_and_keywords/keyword_null",
        "fields_and_keywords/keyword_startswith", "time/keyword"],
    "understood otherwise here: numbers as written, YAML 1.2, all dashes, where re must match": [
        "conditions/them_as_a_name", "conditions/timeframe_is_no_selection",
        "encodings/windash_long_dash", "null_and_types/beyond_64_bits", "null_and_types/fraction",
        "null_and_types/hexadecimal_is_text", "null_and_types/leading_zero_is_text",
        "null_and_types/next_double", "null_and_types/yes_is_text", "regex/contains",
        "regex/endswith", "regex/startswith"],
}
DIFFERENCES = {name: reason for reason, names in DIFFERENCES_BY_REASON.items() for name in names}


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


def enter_venv(folder):
    """Starts this script anew inside a virtual environment that has pySigma."""
    python = os.path.join(folder, "bin", "python")
    probe = [python, "-c", "import sigma.rule"]
    if not os.path.exists(python) or subprocess.run(probe, capture_output=True).returncode != 0:
        made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True)
        if made.returncode != 0:
            skip("cannot make a virtual environment: install python3-venv")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYSIGMA]
        installed = subprocess.run(pip, capture_output=True, text=True, timeout=300)
        if installed.returncode != 0:
            skip(f"cannot install {PYSIGMA}: {installed.stderr.strip().splitlines()[-1:]}")
    os.execv(python, [python, __file__, *sys.argv[1:]])


def indent(text, blanks):
    return "".join(f"{blanks}{line}\n" for line in text.split("\n")) if text else ""


def rules_of(case):
    """Builds the rule text of a case as conformance_test.cc does."""
    def wrap(detection):
        return "title: t\nid: r\nlogsource: {product: any}\ndetection:\n" + indent(detection.rstrip("\n"), "  ")
    if "rules" in case:
        return case["rules"]
    if "detection" in case:
        return wrap(case["detection"])
    if "line" in case:
        return wrap("s:\n  " + case["line"] + "\ncondition: s")
    if "selection" in case:
        return wrap("s: " + case["selection"] + "\ncondition: s")
    return wrap(
        "a: {a: 1}\nb: {b: 1}\nc: {c: 1}\n_p: {p: 1}\nsel_1: {s: 1}\nsel_2: {s: 2}\n"
        "sel: {s: 3}\nx-y.z: {x: 1}\ncondition: " + case["condition"])


def combine(kind, children):
    """Joins trees: nested ones of the same kind are pulled up, order and repetition do not count."""
    flat = []
    for child in children:
        flat += child[kind] if isinstance(child, dict) and kind in child else [child]
    unique = {json.dumps(child, sort_keys=True): child for child in flat}
    if len(unique) == 1:
        return flat[0]
    return {kind: [unique[key] for key in sorted(unique)]}


def fields_of(tree):
    for key in ("and", "or", "not", "of"):
        if key in tree:
            return set().union(*[fields_of(child) for child in tree[key]])
    return {tree["field"]}


def normal(tree):
    """Brings a tree into the form in which two of one meaning are equal."""
    if "and" in tree:
        children = [normal(child) for child in tree["and"]]
        # "Different" is written out here as: has a value, and not this one.
        for child in list(children):
            inner = child.get("not", [{}])[0]
            if inner.get("test") != "null":
                continue
            others = [c for c in children if "not" in c and c is not child
                      and fields_of(c) == {inner["field"]}]
            if others:
                children.remove(child)
        return combine("and", children)
    if "or" in tree:
        return combine("or", [normal(child) for child in tree["or"]])
    if "not" in tree:
        child = normal(tree["not"][0])
        return child["not"][0] if "not" in child else {"not": [child]}
    if "of" in tree:
        return {"at_least": tree["at_least"], "of": [normal(child) for child in tree["of"]]}
    leaf = dict(tree)
    if leaf["test"] == "re" and leaf["value"].startswith("(?") and ")" in leaf["value"]:
        flags, rest = leaf["value"][2:].split(")", 1)
        if flags and set(flags) <= set("ims"):
            leaf["value"] = "(?" + "".join(sorted(flags)) + ")" + rest
    return leaf


class Oracle:
    """pySigma's reading of a rule, as a tree of the same form."""

    def __init__(self):
        import sigma.conditions as conditions
        import sigma.types as types
        self.c = conditions
        self.t = types

    def tree(self, text):
        import yaml
        from sigma.rule import SigmaRule
        document = yaml.safe_load(text)
        rule = SigmaRule.from_dict({
            "title": "t", "logsource": document.get("logsource") or {"product": "any"},
            "detection": document["detection"]})
        trees = [self.node(condition.parsed) for condition in rule.detection.parsed_condition]
        return {"or": trees} if len(trees) > 1 else trees[0]

    def node(self, node):
        if isinstance(node, self.c.ConditionAND):
            return {"and": [self.node(arg) for arg in node.args]}
        if isinstance(node, self.c.ConditionOR):
            return {"or": [self.node(arg) for arg in node.args]}
        if isinstance(node, self.c.ConditionNOT):
            return {"not": [self.node(node.args[0])]}
        if isinstance(node, self.c.ConditionFieldEqualsValueExpression):
            return self.leaf(node.field, node.value)
        return self.leaf("", node.value)

    def text(self, field, value):
        notation = ""
        for part in value.s:
            if isinstance(part, str):
                notation += part.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
            elif part == self.t.SpecialChars.WILDCARD_MULTI:
                notation += "*" if not self.ends_open(notation) else ""
            elif part == self.t.SpecialChars.WILDCARD_SINGLE:
                notation += "?"
            else:
                notation += f"%{part.name}%"
        if not field:
            notation = notation if notation.startswith("*") else "*" + notation
            notation = notation if self.ends_open(notation) else notation + "*"
        return notation

    @staticmethod
    def ends_open(notation):
        stripped = notation.rstrip("\\*?") if not notation.endswith("*") else notation[:-1]
        backslashes = len(stripped) - len(stripped.rstrip("\\"))
        return notation.endswith("*") and backslashes % 2 == 0

    def leaf(self, field, value):
        t = self.t
        leaf = {"field": field, "test": "text"}
        if isinstance(value, t.SigmaExpansion):
            return {"or": [self.leaf(field, one) for one in value.values]}
        if isinstance(value, t.SigmaString):
            leaf["value"] = self.text(field, value)
            if isinstance(value, t.SigmaCasedString):
                leaf["cased"] = True
        elif isinstance(value, t.SigmaTimestampPart):
            leaf.update(test="time", value=str(value.number), relation="equals",
                        part=value.timestamp_part.name.lower())
        elif isinstance(value, t.SigmaNumber):
            leaf["value"] = str(value.number) if field else f"*{value.number}*"
        elif isinstance(value, t.SigmaBool):
            leaf["value"] = str(value.boolean).lower()
        elif isinstance(value, t.SigmaNull):
            leaf.update(test="null", value="")
        elif isinstance(value, t.SigmaRegularExpression):
            letters = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}
            flags = "".join(sorted(letters[flag.name] for flag in value.flags))
            leaf.update(test="re", value=(f"(?{flags})" if flags else "") + value.regexp.to_plain(True))
        elif isinstance(value, t.SigmaCIDRExpression):
            leaf.update(test="cidr", value=value.cidr)
        elif isinstance(value, t.SigmaCompareExpression):
            op = value.op.name.lower()
            leaf.update(test=op, value=str(value.number.number))
            if isinstance(value.number, t.SigmaTimestampPart):
                leaf.update(test="time", relation=op, part=value.number.timestamp_part.name.lower())
        elif isinstance(value, t.SigmaExists):
            leaf.update(test="exists", value="")
            return leaf if value.exists else {"not": [leaf]}
        elif isinstance(value, t.SigmaFieldReference):
            relation = {(False, False): "equals", (True, False): "startswith",
                        (False, True): "endswith", (True, True): "contains"}
            leaf.update(test="fieldref", value=value.field,
                        relation=relation[(value.starts_with, value.ends_with)])
        else:
            raise TypeError(f"no counterpart for {type(value).__name__}")
        return leaf


def read_structures(binary, paths):
    done = subprocess.run([binary], input="\n".join(paths) + "\n", capture_output=True, text=True,
                          check=True, errors="replace")
    return {entry["file"]: entry["rules"] for entry in map(json.loads, done.stdout.splitlines())}


def collect_cases(folder, target):
    """Writes each case whose rule is a single document to a file; returns names by path."""
    import yaml
    names = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.yml"))):
        stem = os.path.splitext(os.path.basename(path))[0]
        with open(path, encoding="utf-8") as stream:
            cases = yaml.safe_load(stream)
        for case in cases:
            text = rules_of(case)
            single = "\n---\n" not in text and "action:" not in text
            if not single or "correlation:" in text or "\nfilter:" in text or "placeholders" in case:
                continue
            name = f"{stem}/{case['name']}"
            file = os.path.join(target, name.replace("/", "_") + ".yml")
            with open(file, "w", encoding="utf-8") as stream:
                stream.write(text)
            names[file] = name
    return names


def collect_rules(folder):
    paths = sorted(glob.glob(os.path.join(folder, "rules*", "**", "*.yml"), recursive=True))
    return {path: os.path.relpath(path, folder) for path in paths}


def compare(oracle, name, text, results):
    """Returns what differs, or nothing."""
    ours = results[0] if len(results) == 1 else {"error": "no single rule"}
    try:
        theirs = {"condition": oracle.tree(text)}
    except Exception as error:  # pySigma refuses with many types, not all of its own.
        theirs = {"error": f"{type(error).__name__}: {error}"}
    if "error" in ours and "error" in theirs:
        return None
    if "error" in ours or "error" in theirs:
        if "modifier=expand" in ours.get("error", ""):
            return None  # Placeholders without values: refused here, left open there.
        return f"ours {json.dumps(ours)[:300]}, pySigma's {json.dumps(theirs)[:300]}"
    left, right = normal(ours["condition"]), normal(theirs["condition"])
    if json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True):
        return None
    return f"\n  ours      {json.dumps(left, ensure_ascii=False)[:600]}\n  pySigma's {json.dumps(right, ensure_ascii=False)[:600]}"


def main():
    binary, cases, rules, venv = sys.argv[1:5]
    if not sys.prefix.startswith(os.path.abspath(venv)):
        enter_venv(venv)
    oracle = Oracle()
    failures, unexpected_agreement, compared = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        names = collect_cases(cases, folder)
        case_count = len(names)
        if os.path.isdir(rules):
            names.update(collect_rules(rules))
        else:
            print(f"SKIPPED in part: no SigmaHQ rules at {rules}")
        structures = read_structures(binary, list(names))
        for path, name in names.items():
            with open(path, encoding="utf-8") as stream:
                difference = compare(oracle, name, stream.read(), structures[path])
            compared += 1
            if difference and name not in DIFFERENCES:
                failures.append(f"{name}: {difference}")
            if not difference and name in DIFFERENCES:
                unexpected_agreement.append(name)
    for failure in failures[:40]:
        print(failure)
    for name in unexpected_agreement:
        print(f"{name}: listed as a difference, but there is none; take it off the list")
    print(f"compared {case_count} cases and {compared - case_count} rules of SigmaHQ: "
          f"{len(failures)} differ, {len(DIFFERENCES)} differ on purpose")
    sys.exit(1 if failures or unexpected_agreement else 0)


if __name__ == "__main__":
    main()
