#!/usr/bin/env python3
"""Makes many Sigma rules of few, and measures how the engine bears them.

    python3 many_rules.py RULES_FOLDER EVENTS.ndjson [--counts 2858,10000,50000] [--events 20000] [--bin build/release/bin]

Each rule of RULES_FOLDER (what ../shared/tools/sigma_corpus.py has made) is kept; variants of it have another id and other
values: a piece of a letter and a number is put into most words of their detection, so that they share fields and kinds of tests
with it, but hardly a value, as rules of several collections do. The same counts give the same rules. Prints what
`weir-sigma bench` says for each count: load time, memory, events per CPU-second.
"""

import argparse
import json
import pathlib
import random
import re
import subprocess
import tempfile
import uuid

ITEM = re.compile(r"^(\s+(?:- )?(?:[\w.]+(?:\|\w+)*: )?)(['\"]?)([^'\"{}\[\]#|]*[A-Za-z]{4,}[^'\"{}\[\]#|]*)(\2)\s*$")
WORD = re.compile(r"[A-Za-z]{4,}")
KEYS = re.compile(r"^\s*(?:condition|timeframe)\s*:")


def changed_value(value, number, chance):
    """Returns `value` with the variant's number inside one of its words."""
    words = [word for word in WORD.finditer(value) if word.start() == 0 or value[word.start() - 1] not in "%\\" or len(word[0]) > 5]
    if not words:
        return value
    word = chance.choice(words)
    at = word.start() + len(word[0]) // 2
    return f"{value[:at]}v{number}{value[at:]}"


def variant(text, number, chance):
    """Returns the rule `text` under another id, with other values in its detection."""
    lines = []
    in_detection = in_related = False
    for line in text.splitlines():
        if line and not line[0].isspace():
            in_detection = line.startswith("detection:")
            in_related = line.startswith("related:")
        if in_related:
            continue
        if line.startswith("id:"):
            old = line.split(":", 1)[1].strip()
            line = f"id: {uuid.uuid5(uuid.NAMESPACE_OID, f'{old}/{number}')}"
        elif line.startswith("name:"):
            continue
        elif in_detection and not KEYS.match(line) and "|re" not in line:
            item = None if line.rstrip().endswith(":") else ITEM.match(line)
            if item and chance.random() < 0.8:
                line = item[1] + item[2] + changed_value(item[3], number, chance) + item[4]
        lines.append(line)
    return "\n".join(lines) + "\n"


def make_rules(source, target, count):
    """Writes `count` rules into the folder `target`."""
    originals = [path.read_text(encoding="utf-8") for path in sorted(source.glob("*.yml"))]
    chance = random.Random(1)
    for index in range(count):
        text = originals[index % len(originals)]
        number = index // len(originals)
        if number > 0:
            text = variant(text, number, chance)
        (target / f"{index:06d}.yml").write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", type=pathlib.Path)
    parser.add_argument("events", type=pathlib.Path)
    parser.add_argument("--counts", default="2858,10000,50000")
    parser.add_argument("--events-used", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pipeline", default="none")
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/release/bin"))
    parser.add_argument("--keep", type=pathlib.Path, help="leave the rules in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        events = folder / "events.ndjson"
        with open(options.events, encoding="utf-8") as lines, open(events, "w", encoding="utf-8") as some:
            for number, line in enumerate(lines):
                if number == options.events_used:
                    break
                some.write(line)
        for count in map(int, options.counts.split(",")):
            rules = folder / f"rules-{count}"
            if not rules.exists():
                rules.mkdir()
                make_rules(options.rules, rules, count)
            done = subprocess.run([options.bin / "weir-sigma", "bench", "--rules", rules, "--events", events, "--pipeline",
                                   options.pipeline, "--rounds", str(options.rounds)], capture_output=True, text=True, check=True)
            runs = [json.loads(line) for line in done.stdout.splitlines()]
            best = max(runs, key=lambda run: run["events_per_cpu_s"])
            print(json.dumps(best), flush=True)


if __name__ == "__main__":
    main()
