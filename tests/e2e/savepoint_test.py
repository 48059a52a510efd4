"""Savepoints and retained checkpoints on a real cluster: jobs are stopped, moved, restored at another parallelism and
cleaned up after; what is committed equals an undisturbed run.

    WEIR_TEST_BIN=build/release/bin tests/e2e/savepoint_test.py [NAME...]
"""

import collections
import json
import pathlib
import shutil
import sys

from cluster import Cluster, JOBS, committed_lines, wait_until, weir

RECORDS = 60_000
KEYS = 20_000
FILES = 15_000  # So many records make state that lies in files.
INTERVAL = {"execution.checkpointing.interval": "100 ms"}


class Jobs:
    """Runs running_count on a cluster, each run into a folder of its own unless it goes on with an earlier one's."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.rest = cluster.rest
        self.library = self.rest.upload(JOBS / "libsavepoint_jobs.so")
        self.savepoints = cluster.folder / "savepoints"

    def run(self, out, records=RECORDS, rate=0, parallelism=2, savepoint=None, settings=None, arguments=(), **restore):
        body = {
            "programArgsList": [str(word) for word in [
                "--records", records, "--keys", KEYS, "--rate", rate, "--out", self.cluster.folder / out, *arguments]],
            "parallelism": parallelism, "flinkConfiguration": INTERVAL | (settings or {}), **restore}
        if savepoint:
            body["savepointPath"] = str(savepoint)
        return self.rest.call("POST", f"/jars/{self.library}/run", body)["jobid"]

    def lines(self, out):
        return committed_lines(self.cluster.folder / out)

    def folder(self, job):
        return self.cluster.folder / "checkpoints" / job

    def operation(self, path, body, polled=None):
        """Triggers an operation, waits for its end and returns what it brought."""
        trigger = self.rest.call("POST", path, body)["request-id"]

        def done():
            answer = self.rest.get(f"{polled or path}/{trigger}")
            assert answer["status"]["id"] in ("IN_PROGRESS", "COMPLETED"), answer
            return answer["operation"] if answer["status"]["id"] == "COMPLETED" else None
        return wait_until(f"{path} is done", done)

    def savepoint(self, job, **options):
        operation = self.operation(f"/jobs/{job}/savepoints", {"target-directory": str(self.savepoints), **options})
        assert "location" in operation, operation
        return pathlib.Path(operation["location"])

    def stop(self, job, **options):
        operation = self.operation(
            f"/jobs/{job}/stop", {"targetDirectory": str(self.savepoints), **options}, f"/jobs/{job}/savepoints")
        assert "location" in operation, operation
        return pathlib.Path(operation["location"])

    def run_until(self, job, lines, out):
        """Lets the job run until it has committed some lines."""
        wait_until(f"{lines} lines in {out}", lambda: sum(self.lines(out).values()) >= lines)

    def finish(self, job):
        self.rest.wait_for_state(job, "FINISHED", 120)

    def failure(self, job):
        self.rest.wait_for_state(job, "FAILED")
        return self.rest.failures(job)[0]["stacktrace"]


def remove(folder):
    """Removes a folder; returns whether it is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def expected():
    """What an undisturbed run commits: each key's counts, one after the other."""
    return collections.Counter(
        json.dumps({"key": i % KEYS, "times": i // KEYS + 1}, separators=(",", ":")) for i in range(RECORDS))


def check_whole(jobs, out):
    lines = jobs.lines(out)
    assert lines == expected(), (sum(lines.values()), list((lines - expected()).items())[:5])


def check_stop_and_go_on(jobs):
    """Stopped with a savepoint and restarted, thrice, at another parallelism each time; moved, without its checkpoints."""
    out, savepoint, committed = "stopped", None, 0
    for number, (parallelism, file_format) in enumerate([(2, "CANONICAL"), (3, "NATIVE"), (1, "CANONICAL")]):
        job = jobs.run(out, rate=6_000, parallelism=parallelism, savepoint=savepoint)
        jobs.run_until(job, max(FILES, committed + 3_000), out)
        savepoint = jobs.stop(job, formatType=file_format)
        assert jobs.rest.state(job) == "FINISHED", "the answer comes when the job has ended"
        wait_until("its checkpoints are gone", lambda job=job: not jobs.folder(job).exists())
        latest = jobs.rest.get(f"/jobs/{job}/checkpoints")["latest"]["savepoint"]
        assert latest["is_savepoint"] and latest["savepointFormat"] == file_format, latest
        assert latest["checkpoint_type"] == "SYNC_SAVEPOINT" and latest["external_path"] == str(savepoint), latest
        committed = sum(jobs.lines(out).values())
        moved = savepoint.with_name(f"moved-{number}")
        savepoint = savepoint.rename(moved)
    assert committed < RECORDS, "the runs are too slow or too long: nothing is left for the last one"
    last = jobs.run(out, parallelism=4, savepoint=savepoint)
    jobs.finish(last)
    check_whole(jobs, out)
    restored = jobs.rest.get(f"/jobs/{last}/checkpoints")["latest"]["restored"]
    assert restored["is_savepoint"] and restored["external_path"] == str(savepoint), restored
    assert savepoint.is_dir(), "nobody claimed it"


def check_drain(jobs):
    """A drained job has committed all that it has read."""
    job = jobs.run("drained", rate=15_000)
    jobs.run_until(job, 1_000, "drained")
    savepoint = jobs.stop(job, drain=True)
    last = jobs.run("drained", savepoint=savepoint)
    jobs.finish(last)
    check_whole(jobs, "drained")


def check_savepoint_of_a_running_job(jobs):
    """A savepoint is self-contained, and does not disturb the job that it is taken of."""
    job = jobs.run("running", rate=5_000)
    jobs.run_until(job, FILES, "running")
    canonical, native = jobs.savepoint(job), jobs.savepoint(job, formatType="NATIVE")
    for path in canonical, native:
        names = sorted(file.name for file in path.iterdir())
        assert "_metadata" in names and any(name.endswith(".sst") for name in names), names
    assert all(file.stat().st_nlink == 1 for file in canonical.iterdir())
    with_cancel = jobs.savepoint(job, **{"cancel-job": True})
    jobs.rest.wait_for_state(job, "CANCELED")
    wait_until("the job's folder is removed", lambda: remove(jobs.folder(job)))  # The job may be tidying up in it.
    for number, savepoint in enumerate([canonical, native, with_cancel]):
        again = jobs.run(f"again-{number}", savepoint=savepoint)
        jobs.finish(again)
        # The first run's output is in another folder: together each count comes at least once, and the end is right.
        both = jobs.lines(f"again-{number}") + jobs.lines("running")
        assert set(both) == set(expected()), number
    answer = jobs.operation("/savepoint-disposal", {"savepoint-path": str(canonical)})
    assert answer == {"failure-cause": None}, answer
    assert not canonical.exists() and native.exists()
    answer = jobs.operation("/savepoint-disposal", {"savepoint-path": str(canonical)})
    assert str(canonical) in answer["failure-cause"]["stack-trace"], answer


def check_non_restored_state(jobs):
    """State of an operator that the job has no more is refused, unless that is allowed."""
    job = jobs.run("dropped", rate=15_000, arguments=["--extra", 1])
    jobs.run_until(job, 1_000, "dropped")
    savepoint = jobs.stop(job)
    refused = jobs.failure(jobs.run("dropped-again", savepoint=savepoint))
    assert "uid=extra" in refused and "Extra count" in refused, refused
    allowed = jobs.run("dropped-again", savepoint=savepoint, allowNonRestoredState=True)
    jobs.finish(allowed)


def check_claims(jobs):
    """NO_CLAIM leaves a savepoint alone, and the job needs it no more; CLAIM deletes it when it is superseded."""
    job = jobs.run("claims", rate=15_000)
    jobs.run_until(job, FILES, "claims")
    savepoint = jobs.stop(job)
    copy = shutil.copytree(savepoint, savepoint.with_name("copy"))
    job = jobs.run("claims", rate=4_000, savepoint=savepoint)
    jobs.rest.wait_for_state(job, "RUNNING")
    shutil.rmtree(savepoint)
    wait_until("checkpoints", lambda: jobs.rest.completed_checkpoints(job) >= 3)
    jobs.cluster.kill_task_manager(0)
    jobs.cluster.start_task_manager()
    wait_until("the job has restored", lambda: jobs.rest.restored(job) >= 2, 120)
    jobs.finish(job)
    check_whole(jobs, "claims")

    job = jobs.run("claimed", rate=4_000, savepoint=copy, claimMode="CLAIM")
    wait_until("the savepoint is gone", lambda: not copy.exists())
    assert jobs.rest.completed_checkpoints(job) > 0
    jobs.finish(job)
    assert not copy.exists()


def check_damage(jobs):
    """A file that is missing or changed is named before anything is deployed."""
    job = jobs.run("damaged", rate=15_000)
    jobs.run_until(job, FILES, "damaged")
    savepoint = jobs.stop(job)
    victim = next(file for file in savepoint.iterdir() if file.name.endswith(".sst"))
    content = victim.read_bytes()
    victim.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    refused = jobs.failure(jobs.run("damaged", savepoint=savepoint))
    assert "damaged" in refused and str(victim) in refused, refused
    victim.unlink()
    refused = jobs.failure(jobs.run("damaged", savepoint=savepoint))
    assert "missing" in refused and str(victim) in refused, refused


def check_retained_checkpoints(jobs):
    """Checkpoints leave no file that no retained one needs (checkpoint_files_test.py has more of them); a retained one can
    be restored; settings are shown."""
    settings = {"execution.checkpointing.interval": "20 ms", "state.checkpoints.num-retained": "3",
                "execution.checkpointing.min-pause": "5 ms", "execution.checkpointing.tolerable-failed-checkpoints": "7"}
    job = jobs.run("retained", records=10_000_000, rate=4_000, settings=settings)
    config = jobs.rest.get(f"/jobs/{job}/checkpoints/config")
    assert (config["interval"], config["min_pause"], config["max_concurrent"]) == (20, 5, 1), config
    assert config["tolerable_failed_checkpoints"] == 7, config
    assert config["externalization"] == {"enabled": True, "delete_on_cancellation": False}, config
    wait_until("60 checkpoints", lambda: jobs.rest.completed_checkpoints(job) >= 60, 120)
    jobs.rest.cancel(job)
    jobs.rest.wait_for_state(job, "CANCELED")
    folder = jobs.folder(job)
    checkpoints = sorted(folder.glob("chk-*"), key=lambda path: int(path.name[4:]))
    assert len(checkpoints) == 3, checkpoints
    metadata = b"".join((path / "_metadata").read_bytes() for path in checkpoints)

    def orphans():
        return [file.name for file in (folder / "shared").iterdir() if file.name.encode() not in metadata]
    wait_until("no orphans", lambda: not orphans())
    assert any((folder / "shared").iterdir()), "the state is too small for the test to mean anything"
    again = jobs.run("retained-again", records=10_000_000, rate=4_000, savepoint=checkpoints[-1],
                     settings={"execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION"})
    wait_until("a checkpoint", lambda: jobs.rest.completed_checkpoints(again) > 0)
    assert jobs.folder(again).exists()
    jobs.rest.cancel(again)
    jobs.rest.wait_for_state(again, "CANCELED")
    wait_until("the checkpoints are gone", lambda: not jobs.folder(again).exists())
    assert checkpoints[-1].exists(), "it is the user's"


def check_after_some_tasks_finished(jobs):
    """One of two sources ends: its tasks finish, checkpoints go on, and a savepoint restores both."""
    job = jobs.run("short", records=RECORDS - 20_000, rate=4_000, arguments=["--short", 20_000])

    def states():
        vertices = jobs.rest.get(f"/jobs/{job}")["vertices"]
        return {vertex["name"]: vertex["status"] for vertex in vertices}
    wait_until("the short source has finished",
               lambda: any("short" in name and state == "FINISHED" for name, state in states().items()))
    assert any("numbers" in name and state == "RUNNING" for name, state in states().items()), states()
    done = jobs.rest.completed_checkpoints(job)
    wait_until("more checkpoints", lambda: jobs.rest.completed_checkpoints(job) >= done + 3)
    savepoint = jobs.stop(job)
    again = jobs.run("short", records=RECORDS - 20_000, savepoint=savepoint, arguments=["--short", 20_000],
                     parallelism=3)
    jobs.finish(again)
    assert sum(jobs.lines("short").values()) == RECORDS
    counts = {}
    for line in jobs.lines("short"):
        seen = json.loads(line)
        counts[seen["key"]] = max(counts.get(seen["key"], 0), seen["times"])
    assert sum(counts.values()) == RECORDS, "a key was counted from anew, or twice"


def check_command_line(jobs):
    """The same by `weir`."""
    rest = ["--rest", jobs.rest.address]
    job = jobs.run("cli", rate=4_000)
    jobs.run_until(job, 1_000, "cli")
    assert int(weir("checkpoint", *rest, job).stdout) > 0
    taken = pathlib.Path(weir("savepoint", *rest, job, jobs.savepoints).stdout.strip())
    assert (taken / "_metadata").is_file()
    weir("savepoint", *rest, "--dispose", taken)
    assert not taken.exists()
    assert "no checkpoint and no savepoint" in weir("savepoint", *rest, "--dispose", taken, check=1).stderr
    assert "must be provided" in weir("savepoint", *rest, job, check=1).stderr
    stopped = weir("stop", *rest, job, "--savepoint-path", jobs.savepoints, "--json")
    savepoint = json.loads(stopped.stdout)["location"]
    arguments = ["--", "--records", RECORDS, "--keys", KEYS, "--out", jobs.cluster.folder / "cli"]
    legacy = weir("run", *rest, JOBS / "libsavepoint_jobs.so", "--from-savepoint", savepoint, "--claim-mode", "LEGACY",
                  *arguments, check=1)
    assert "there is no claim mode LEGACY" in legacy.stderr, legacy.stderr
    weir("run", *rest, JOBS / "libsavepoint_jobs.so", "--from-savepoint", savepoint, "--claim-mode", "CLAIM",
         *arguments)
    check_whole(jobs, "cli")


CHECKS = [check_stop_and_go_on, check_drain, check_savepoint_of_a_running_job, check_non_restored_state, check_claims,
          check_damage, check_retained_checkpoints, check_after_some_tasks_finished, check_command_line]


def main():
    names = sys.argv[1:]
    unknown = set(names) - {check.__name__ for check in CHECKS}
    assert not unknown, f"no such checks: {unknown}"
    with Cluster(task_managers=2, slots=4) as cluster:
        jobs = Jobs(cluster)
        for check in CHECKS:
            if not names or check.__name__ in names:
                print(check.__name__, flush=True)
                check(jobs)


if __name__ == "__main__":
    sys.exit(main())
