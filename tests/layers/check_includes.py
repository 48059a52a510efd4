#!/usr/bin/env python3
"""Fails on an #include that goes up: which folder may include which, and which folder may use which library.

Reads the #include lines of every C++ file below the root, and names file:line, what is wrong and what would do.
"""

import argparse
import os
import re
import sys

SOURCE_SUFFIXES = (".h", ".cc", ".inc")
SKIPPED_FOLDERS = {".git", ".cache", "build"}

# The runtime's folders, lowest first: each may include those before it.
RUNTIME = ["base", "metrics", "record", "graph", "state", "checkpoint", "network", "task"]
RUNTIME_FOLDERS = [f"runtime/{name}" for name in RUNTIME]
RUNTIME_USERS_OF_PROTO = {"graph", "checkpoint", "network"}


def allowed_folders():
    """Returns for each module folder what it may include besides itself. The longest folder that holds a file is
    the file's module."""
    allowed = {"proto": []}
    for index, name in enumerate(RUNTIME):
        below = RUNTIME_FOLDERS[:index]
        allowed[f"runtime/{name}"] = below + (["proto"] if name in RUNTIME_USERS_OF_PROTO else [])
    allowed["operators"] = ["runtime"]
    # Readers of formats serve programs that know no streams.
    allowed["operators/formats"] = ["runtime/base"]
    # A job sees its own folder only; jobs/<name> is filled in by module_of.
    allowed["jobs"] = ["operators", "runtime", "jobs/arguments"]
    # Layer 2 of network detection stands on its own; the job puts both together.
    allowed["jobs/ndr"] = allowed["jobs"] + ["jobs/correlation"]
    # The Sigma engine is usable without the stream API.
    allowed["jobs/sigma/engine"] = ["runtime/base"]
    # When correlations fire, without a stream.
    allowed["jobs/sigma/correlation"] = ["jobs/sigma/engine", "runtime/base"]
    # `weir-sigma`: rules and events of files, without a stream.
    allowed["jobs/sigma/tools"] = ["jobs/sigma/correlation", "jobs/sigma/engine", "jobs/sigma/settings", "operators/formats", "runtime/base"]
    # The parser language and the settings are libraries of their own too.
    allowed["jobs/sigma/parser"] = ["runtime/base"]
    allowed["jobs/sigma/settings"] = ["runtime/base"]
    allowed["jobmanager"] = ["runtime", "proto"]
    allowed["taskmanager"] = ["runtime", "proto"]
    # `weir run` without --rest holds a JobManager and a TaskManager in its own process.
    allowed["client"] = ["runtime/base", "proto", "jobmanager", "taskmanager"]
    # `weir state` reads checkpoints: their metadata as the JobManager does, their state files as the runtime does.
    allowed["client/state"] = ["client", "jobmanager", "runtime/base", "runtime/record", "runtime/state",
                               "runtime/checkpoint"]
    # Savepoints made without a job need the metadata's format; a library of its own, which no job links.
    allowed["operators/state_processor"] = ["operators", "runtime", "jobmanager"]
    return allowed


ALLOWED = allowed_folders()

# Heavy libraries have a home each, so that swapping one touches one folder. Tests may use any.
LIBRARY_HOMES = [
    (re.compile(r"^rocksdb/"), "RocksDB", ["runtime/state", "runtime/checkpoint"]),
    (re.compile(r"^librdkafka/"), "librdkafka", ["operators/connectors/kafka"]),
    (re.compile(r"^(grpcpp/|grpc/|.*\.grpc\.pb\.h$)"), "gRPC", ["jobmanager", "taskmanager", "proto"]),
    (re.compile(r"^boost/beast"), "Boost.Beast", ["jobmanager/rest", "client", "runtime/checkpoint/s3"]),
    (re.compile(r"^pcre2"), "PCRE2", ["jobs/sigma/parser"]),
    (re.compile(r"^spdlog/"), "spdlog", ["runtime/base"]),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def within(path, folder):
    return path == folder or path.startswith(folder + "/")


def module_of(path):
    """Returns the module folder of a path below the root, or None if no module holds it."""
    if within(path, "tests"):
        return "tests"
    best = None
    for folder in ALLOWED:
        if within(path, folder) and (best is None or len(folder) > len(best)):
            best = folder
    if best == "jobs":
        return "/".join(path.split("/")[:2])  # jobs/<name>
    return best


def allowed_for(module):
    if module in ALLOWED:
        return ALLOWED[module] + [module]
    if within(module, "jobs"):
        return ALLOWED["jobs"] + [module]
    return [module]


def check_own(path, module, included, root):
    """Returns what is wrong with an include of one of our own files, or None."""
    if included.startswith("."):
        return "includes are written from the repository root, not relative to the file"
    folder = included.split("/")[0]
    own_folders = {name.split("/")[0] for name in ALLOWED} | {"tests"}
    if folder not in own_folders or "/" not in included:
        if os.path.isfile(os.path.join(root, os.path.dirname(path), included)):
            return "includes are written from the repository root, not relative to the file"
        return None  # A library's header.
    if module == "tests":
        return None
    if within(included, "tests"):
        return "only tests include tests/"
    permitted = allowed_for(module)
    target = module_of(included)
    # A narrower module inside a permitted folder (jobs/sigma/engine in jobs/sigma) is permitted with it.
    if any(within(included, one) for one in permitted) and target is not None:
        return None
    return f"{module} may include only {', '.join(permitted)}"


def check_library(path, module, included):
    """Returns what is wrong with an include of a library, or None."""
    if module == "tests":
        return None
    for pattern, name, homes in LIBRARY_HOMES:
        if pattern.match(included) and not any(within(path, home) for home in homes):
            return f"{name} is used only in {', '.join(homes)}"
    return None


def check_file(root, path):
    module = module_of(path)
    if module is None:
        return [f"{path}:1: no module holds this folder; add it to tests/layers/check_includes.py"]
    errors = []
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            included = match.group(1) or match.group(2)
            problem = check_own(path, module, included, root) if match.group(1) else None
            problem = problem or check_library(path, module, included)
            if problem:
                errors.append(f'{path}:{number}: includes "{included}": {problem}')
    return errors


def source_files(root):
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if name not in SKIPPED_FOLDERS)
        for name in sorted(files):
            if name.endswith(SOURCE_SUFFIXES):
                yield os.path.relpath(os.path.join(folder, name), root)


def main():
    default_root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=default_root, help="the repository (default: this one)")
    root = os.path.abspath(parser.parse_args().root)
    paths = list(source_files(root))
    errors = [error for path in paths for error in check_file(root, path)]
    for error in errors:
        print(error)
    print(f"layers: {len(paths)} files, {len(errors)} includes that go up")
    return 1 if errors or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
