"""Many idle jobs: their checkpoints complete without being written again, survive a kill -9, and jobs that work are not held up by them."""

import pathlib
import tempfile

import cluster

IDLE_JOBS = 40
INTERVAL = "0.2 s"


def latest(rest, job):
    return rest.get(f"/jobs/{job}/checkpoints")["latest"]["completed"]


def folders(running, job):
    return sorted(path.name for path in (running.folder / "checkpoints" / job).glob("chk-*"))


def start(running, out, rate):
    # At 1e-7 records a second, the first would be due in a few months.
    return running.rest.run(
        cluster.library_of(running.rest, "keyed_count"), ["--records", 1000000, "--keys", 10, "--rate", rate, "--out", out],
        parallelism=1, entry="keyed_count", settings={"execution.checkpointing.interval": INTERVAL})


def wait_for_more_checkpoints(rest, jobs, more):
    before = {job: rest.completed_checkpoints(job) for job in jobs}
    cluster.wait_until(
        f"{more} more checkpoints of every job",
        lambda: all(rest.completed_checkpoints(job) >= before[job] + more for job in jobs))


def check_nothing_is_written(running, jobs):
    """Once all jobs stand still, their checkpoints go on, and the folder of each stays what it is."""
    wait_for_more_checkpoints(running.rest, jobs, 3)
    before = {job: (latest(running.rest, job), folders(running, job)) for job in jobs}
    wait_for_more_checkpoints(running.rest, jobs, 5)
    for job, (checkpoint, kept) in before.items():
        now = latest(running.rest, job)
        assert now["id"] > checkpoint["id"], (now, checkpoint)
        assert now["external_path"] == checkpoint["external_path"], (now, checkpoint)
        assert folders(running, job) == kept and len(kept) == 1, (folders(running, job), kept)
        assert now["external_path"].endswith("/" + kept[0]), (now, kept)
        assert not now["discarded"], now
        assert (running.folder / "checkpoints" / job / kept[0] / "_metadata").is_file()


def resident_bytes(process):
    """Of the process, without pages that it shares with others."""
    with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as lines:
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


def main():
    with tempfile.TemporaryDirectory() as out, cluster.Cluster(task_managers=1, slots=IDLE_JOBS + 1) as running:
        rest = running.rest
        # The first one loads the library.
        jobs = [start(running, pathlib.Path(out) / "idle", 1e-7)]
        rest.wait_for_state(jobs[0], "RUNNING")
        before = resident_bytes(running.task_managers[0])
        jobs += [start(running, pathlib.Path(out) / f"idle-{i}", 1e-7) for i in range(1, IDLE_JOBS)]
        working = start(running, pathlib.Path(out) / "working", 200)
        for job in [*jobs, working]:
            rest.wait_for_state(job, "RUNNING")
        check_nothing_is_written(running, jobs)
        # G8: a job takes less than 1 MB.
        bytes_per_job = (resident_bytes(running.task_managers[0]) - before) / IDLE_JOBS
        print(f"{bytes_per_job / 1024:.0f} KiB per job on the TaskManager")
        assert bytes_per_job < 1e6, bytes_per_job

        # One whose state changes is written each time.
        before = latest(rest, working)
        wait_for_more_checkpoints(rest, [working], 3)
        assert latest(rest, working)["external_path"] != before["external_path"]

        # All are restored from what lies there, and go on in the same way.
        running.kill_task_manager(0)
        running.start_task_manager()
        cluster.wait_until("all jobs are restored", lambda: all(rest.restored(job) == 1 for job in [*jobs, working]))
        for job in [*jobs, working]:
            rest.wait_for_state(job, "RUNNING")
        check_nothing_is_written(running, jobs)
        wait_for_more_checkpoints(rest, [working], 3)
        for job in [*jobs, working]:
            assert rest.get(f"/jobs/{job}/checkpoints")["counts"]["restored"] == 1
            rest.cancel(job)
        for job in [*jobs, working]:
            rest.wait_for_state(job, "CANCELED")


if __name__ == "__main__":
    main()
