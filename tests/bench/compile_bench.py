#!/usr/bin/env python3
"""Measures what a job costs to compile: the README's job, and shipped ones with keyed state and with windows.

With the flags that `weir_add_job` gives a job of this build, without the compiler cache. Prints CPU seconds, the median
of the runs, how much of that is the front end, and the compiler's peak memory. `--root` compiles against the headers of
another checkout.
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXTRACT = ROOT / "tests" / "docs" / "extract_snippets.py"
FLAGS_OF = "jobs/examples/library.cc"  # Compiled by weir_add_job.
JOBS = {
    "README's job, without state": None,
    "word_count, one keyed state, timers": "jobs/examples/word_count.cc",
    "distinct_destinations, windows": "jobs/examples/distinct_destinations.cc",
}


def job_flags(build, root):
    """Returns the compiler and its flags, without input, output and warnings, for headers in `root`."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if not entry["file"].endswith(FLAGS_OF):
            continue
        words = shlex.split(entry["command"])
        # What stands before the compiler is its launcher.
        first = max(i for i, word in enumerate(words) if word.startswith("/") and "++" in os.path.basename(word))
        words = words[first:words.index("-c")]
        kept = [word for i, word in enumerate(words) if word != "-o" and words[i - 1] != "-o" and word != "-Werror"]
        return [f"-I{root}" if word == f"-I{ROOT}" else word for word in kept]
    sys.exit(f"{FLAGS_OF} is not in {build}/compile_commands.json; configure the build first")


def compile_once(command):
    """Returns CPU seconds and peak MiB."""
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"did not compile: {shlex.join(command)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("jobs", nargs="*", help="only those whose name begins so")
    args = parser.parse_args()
    flags = job_flags(args.build, args.root.resolve())
    print("| job | CPU s | of these, front end | peak MiB |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, source in JOBS.items():
            if args.jobs and not any(name.startswith(job) for job in args.jobs):
                continue
            if source is None:
                source = os.path.join(folder, "readme.cc")
                subprocess.run([sys.executable, EXTRACT, "--root", args.root, args.root / "README.md", source], check=True)
            else:
                source = args.root / source
            whole = [compile_once([*flags, "-c", str(source), "-o", os.devnull]) for _ in range(args.runs)]
            front = [compile_once([*flags, "-fsyntax-only", str(source)]) for _ in range(args.runs)]
            cpu = statistics.median(seconds for seconds, _ in whole)
            front_cpu = statistics.median(seconds for seconds, _ in front)
            print(f"| {name} | {cpu:.1f} | {front_cpu:.1f} | {max(peak for _, peak in whole):.0f} |", flush=True)


if __name__ == "__main__":
    main()
