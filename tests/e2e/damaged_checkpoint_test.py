"""A damaged file of the newest checkpoint: the newest one without it is restored, and log and REST say so.

    WEIR_TEST_BIN=build/release/bin tests/e2e/damaged_checkpoint_test.py
"""

import json
import pathlib
import re
import sys

from cluster import Cluster, library_of, wait_until, weir

RETAINED = 3


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def remove(path):
    path.unlink()


DAMAGES = [flip, truncate, remove]


def number_of(folder):
    return int(folder.name.removeprefix("chk-"))


def retained(cluster, job):
    """Returns the folders of the retained checkpoints, newest first."""
    folders = [path.parent for path in (cluster.folder / "checkpoints").rglob("_metadata") if job in str(path)]
    return sorted(folders, key=lambda folder: -number_of(folder))[:RETAINED]  # Older ones are being removed.


def files_of(folder):
    """Returns the state files that a checkpoint names."""
    metadata = (folder / "_metadata").read_bytes()
    return {pathlib.Path(path.decode()) for path in re.findall(rb"/[\x21-\x7e]+?\.sst", metadata)}


def choose(kind, folders):
    """Returns the file to damage, and the folder of the checkpoint that is to be restored; none if all need it."""
    if kind == "metadata":
        return folders[0] / "_metadata", folders[1]
    files = [files_of(folder) for folder in folders]
    if kind == "state file":
        own = sorted(files[0] - files[1])
        return (own[0], folders[1]) if own else None
    common = sorted(files[0] & files[1])
    if not common:
        return None
    free = [folder for folder, names in zip(folders, files) if common[-1] not in names]
    return common[-1], free[0] if free else None


def texts_of(failures):
    return [entry["stacktrace"] for failure in failures for entry in [failure, *failure.get("concurrentExceptions", [])]]


def look_into(folder):
    """What `weir state` says of a checkpoint on disk."""
    listed = json.loads(weir("state", "list", folder, "--json").stdout)
    operators = {operator["uid"]: operator for operator in listed["operators"]}
    states = {state["name"]: state for state in operators["count"]["states"]}
    (name, state), = ((name, state) for name, state in states.items() if state["kind"] == "value")
    shown = [json.loads(line) for line in
             weir("state", "show", folder, "--operator", "count", "--state", name).stdout.splitlines()]
    assert len(shown) == state["entries"] > 0, (len(shown), state)
    one = shown[len(shown) // 2]
    again = weir("state", "show", folder, "--operator", "count", "--state", name, "--key", json.dumps(one["key"]))
    assert [json.loads(line) for line in again.stdout.splitlines()] == [one]


def damage_one(cluster, job, kind, damage):
    """Kills the TaskManager, damages a file, and expects what comes of it. Returns whether the job goes on."""
    rest = cluster.rest
    rest.wait_for_state(job, "RUNNING")
    done = rest.completed_checkpoints(job)
    wait_until("some more checkpoints", lambda: rest.completed_checkpoints(job) >= done + RETAINED)
    choice = wait_until(f"a {kind} to damage", lambda: choose(kind, retained(cluster, job)))
    cluster.kill_task_manager(0)
    folders = retained(cluster, job)
    choice = choose(kind, folders)
    if choice is None:  # One more was completed meanwhile, without such a file.
        cluster.start_task_manager()
        rest.wait_for_state(job, "RUNNING")
        return damage_one(cluster, job, kind, damage)
    path, expected = choice
    named = str(path.parent if kind == "metadata" else path)  # Without metadata, a folder is no checkpoint.
    weir("state", "verify", folders[0])
    look_into(folders[0])
    damage(path)
    verified = weir("state", "verify", folders[0], check=1)
    assert named in verified.stdout + verified.stderr, verified
    restored = rest.restored(job)
    cluster.start_task_manager()
    if expected is None:
        rest.wait_for_state(job, "FAILED")
    else:
        latest = wait_until(
            "the older checkpoint restored",
            lambda: rest.restored(job) > restored and rest.state(job) == "RUNNING" and
            (rest.get(f"/jobs/{job}/checkpoints")["latest"]["restored"]["id"] == number_of(expected)), 60)
        assert latest
        weir("state", "verify", expected)
    texts = texts_of(rest.failures(job))
    said = "the one before it is used" if expected else "no older one is retained"
    assert any(said in text and named in text for text in texts), (said, named, texts)
    assert any(f"checkpoint {number_of(folders[0])} cannot be re" in text for text in texts), texts
    log = (cluster.folder / "jobmanager.log").read_text()
    assert said in log and named in log
    print(f"{kind}, {damage.__name__}: {'checkpoint ' + str(number_of(expected)) if expected else 'no checkpoint'} "
          f"restored instead of {number_of(folders[0])}", flush=True)
    return expected is not None


def main():
    options = ["restart-strategy.type=fixed-delay", "restart-strategy.fixed-delay.attempts=1000",
               "restart-strategy.fixed-delay.delay=10 ms", f"execution.checkpointing.num-retained={RETAINED}"]
    with Cluster(task_managers=1, slots=2, options=options) as cluster:
        library = library_of(cluster.rest, "keyed_count")

        def submit(number):
            arguments = ["--records", 1_000_000_000, "--keys", 40_000, "--seed", 7, "--rate", 50_000, "--out",
                         cluster.folder / f"out-{number}"]
            return cluster.rest.run(library, arguments, parallelism=2, entry="keyed_count",
                                    settings={"execution.checkpointing.interval": "300 ms",
                                              "execution.checkpointing.num-retained": str(RETAINED),
                                              "restart-strategy.fixed-delay.delay": "10 ms"})

        job = submit(0)
        for kind in ("metadata", "state file", "shared file"):
            for number, damage in enumerate(DAMAGES, 1):
                if not damage_one(cluster, job, kind, damage):
                    job = submit(number)
        cluster.rest.cancel(job)
        cluster.rest.wait_for_state(job, "CANCELED")


if __name__ == "__main__":
    sys.exit(main())
