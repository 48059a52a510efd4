"""Jobs under load whose parallelism changes while they run: what is committed equals an undisturbed run's, record by record.

    WEIR_TEST_BIN=build/release/bin tests/e2e/rescale_test.py [--records N] [--rate R]

keyed_count, and window_counts (windows and timers that fire all the time), go 1 -> 2 -> 4 -> 3 by REST and by `weir scale` while a
TaskManager joins. An adaptive job follows TaskManagers that come and go; one without slots waits and says why.
"""

import argparse
import collections
import json
import sys

from cluster import JOBS, Cluster, RestError, committed_lines, library_of, wait_until, weir

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--records", type=int, default=1_200_000)
parser.add_argument("--keys", type=int, default=500)
parser.add_argument("--rate", type=int, default=60_000, help="records a second")


def requirements(rest, job, parallelism):
    """Asks for `parallelism` of all vertices, as Flink's clients do."""
    wanted = rest.get(f"/jobs/{job}/resource-requirements")
    for vertex in wanted.values():
        vertex["parallelism"] = {"lowerBound": 1, "upperBound": parallelism}
    return wanted


def parallelism_of(rest, job):
    """That of the busiest vertex, once all of the job's tasks run; 0 before."""
    details = rest.get(f"/jobs/{job}")
    if details["state"] != "RUNNING":
        return 0
    tasks = details["status-counts"]
    if tasks["RUNNING"] + tasks["FINISHED"] != sum(tasks.values()):
        return 0
    return max(vertex["parallelism"] for vertex in details["vertices"])


def wait_for_parallelism(rest, job, parallelism, seconds=60):
    wait_until(f"job {job} with parallelism {parallelism}", lambda: parallelism_of(rest, job) == parallelism, seconds)


def history(rest, job):
    """Rescales, oldest first."""
    return rest.get(f"/jobs/{job}/rescales/history")[::-1]


def submit(cluster, library, entry, options, out, rate, parallelism=1, settings=None):
    arguments = ["--records", options.records, "--keys", options.keys, "--rate", rate, "--out", cluster.folder / out]
    return cluster.rest.run(library, arguments, parallelism=parallelism, entry=entry,
                            settings={"execution.checkpointing.interval": "1 s", **(settings or {})})


def check_equal(cluster, entry):
    actual = committed_lines(cluster.folder / f"{entry}-rescaled")
    expected = committed_lines(cluster.folder / f"{entry}-undisturbed")
    if actual != expected:
        missing, extra = expected - actual, actual - expected
        for name, lines in (("missing", missing), ("too many", extra)):
            for line, count in collections.Counter(lines).most_common(10):
                print(f"  {name}: {count} x {line}")
        raise AssertionError(
            f"{entry}: the output differs: {sum(missing.values())} lines missing, {sum(extra.values())} too many")
    print(f"{entry}: {sum(actual.values())} lines equal", flush=True)


def attempts_of(rest, job):
    """The attempt number of every subtask, by vertex."""
    return {vertex["name"]: [subtask["attempt"] for subtask in
                             rest.get(f"/jobs/{job}/vertices/{vertex['id']}")["subtasks"]]
            for vertex in rest.get(f"/jobs/{job}")["vertices"]}


def rescaled_run(cluster, library, entry, options):
    rest = cluster.rest
    job = submit(cluster, library, entry, options, f"{entry}-rescaled", options.rate)
    wait_for_parallelism(rest, job, 1)
    wait_until("a checkpoint", lambda: rest.completed_checkpoints(job) > 0)

    # 1 -> 2 by REST.
    assert rest.call("PUT", f"/jobs/{job}/resource-requirements", requirements(rest, job, 2)) == {}
    wait_for_parallelism(rest, job, 2)
    attempts = attempts_of(rest, job)
    assert all(numbers == [1, 0] for numbers in attempts.values()), attempts

    # 2 -> 4 by REST: there are no slots for it until another TaskManager joins.
    try:
        rest.call("PUT", f"/jobs/{job}/resource-requirements", requirements(rest, job, 4))
        raise AssertionError("accepted what there are no slots for")
    except RestError as error:
        assert error.status == 409 and "too few slots" in error.body, error
    cluster.start_task_manager()
    cluster.wait_for_task_managers(2)
    assert parallelism_of(rest, job) == 2, "the default scheduler rescaled by itself"
    wait_until("some records more", lambda count=rest.completed_checkpoints(job): rest.completed_checkpoints(job) > count)
    rest.call("PUT", f"/jobs/{job}/resource-requirements", requirements(rest, job, 4))
    wait_for_parallelism(rest, job, 4)
    hosts = {subtask["taskmanager-id"] for vertex in rest.get(f"/jobs/{job}")["vertices"]
             for subtask in rest.get(f"/jobs/{job}/vertices/{vertex['id']}")["subtasks"]}
    assert len(hosts) == 2, "the new TaskManager has no tasks"

    # 4 -> 3 from the command line, and one vertex alone to 2.
    done = weir("scale", job, 3, "--vertex", "Numbers=2", "--rest", rest.address)
    assert "WANTED" in done.stdout, done.stdout
    wait_for_parallelism(rest, job, 3)
    parallelism = {vertex["name"]: vertex["parallelism"] for vertex in rest.get(f"/jobs/{job}")["vertices"]}
    assert all(number == (2 if "Numbers" in name else 3) for name, number in parallelism.items()), parallelism
    attempts = attempts_of(rest, job)
    assert all(numbers == [3, 2, 1][:len(numbers)] for numbers in attempts.values()), attempts

    assert rest.state(job) == "RUNNING", "it ended before all was tried: give more --records"
    rescales = history(rest, job)
    assert [entry["terminalState"] for entry in rescales] == ["COMPLETED"] * 3, rescales
    assert {entry["triggerCause"] for entry in rescales} == {"UPDATE_REQUIREMENT"}, rescales
    assert all(entry["restoredCheckpointId"] > 0 for entry in rescales), rescales
    for entry_of_history in rescales:
        print(f"{entry}: rescale {entry_of_history['rescaleAttemptId']} took {entry_of_history['durationInMillis']} ms, "
              f"down for {entry_of_history['downtimeInMillis']} ms", flush=True)
    assert rest.get(f"/jobs/{job}/metrics?get=numRescales,numRestarts") == [
        {"id": "numRescales", "value": "3"}, {"id": "numRestarts", "value": "0"}]
    rest.wait_for_state(job, "FINISHED", 600)
    assert rest.failures(job) == [], rest.failures(job)
    check_equal(cluster, entry)


def test_output_of_rescaled_jobs(options):
    for entry in ("keyed_count", "window_counts"):
        with Cluster(task_managers=1, slots=2) as cluster:
            library = (library_of(cluster.rest, entry) if entry == "keyed_count"
                       else cluster.rest.upload(JOBS / "libwindow_counts.so"))
            undisturbed = submit(cluster, library, entry, options, f"{entry}-undisturbed", 0)
            cluster.rest.wait_for_state(undisturbed, "FINISHED", 600)
            rescaled_run(cluster, library, entry, options)


def test_errors(options):
    with Cluster(task_managers=1, slots=2) as cluster:
        rest = cluster.rest
        job = submit(cluster, library_of(rest, "keyed_count"), "keyed_count", options, "errors", 100)
        wait_for_parallelism(rest, job, 1)
        wanted = requirements(rest, job, 1)
        vertex = next(iter(wanted))
        for problem, change in (
                ("no such vertex", {"0" * 31 + "1": wanted[vertex]}),
                ("lowerBound is above upperBound", {vertex: {"parallelism": {"lowerBound": 3, "upperBound": 2}}}),
                ("max parallelism", {vertex: {"parallelism": {"lowerBound": 1, "upperBound": 129}}}),
                ("lowerBound", {vertex: {"parallelism": {"upperBound": 2}}})):
            try:
                rest.call("PUT", f"/jobs/{job}/resource-requirements", {**wanted, **change})
                raise AssertionError(f"accepted: {change}")
            except RestError as error:
                assert error.status == 400 and problem in error.body, error
        done = weir("scale", job, "--vertex", "nothing=2", "--rest", rest.address, check=1)
        assert "no vertex of this name" in done.stderr, done.stderr
        assert history(rest, job) == []
        rest.cancel(job)
        rest.wait_for_state(job, "CANCELED")


def test_following_task_managers(options):
    quick = ["jobmanager.scheduler=adaptive",
             "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout=500 ms",
             "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout=1 s",
             "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling=0 s",
             "restart-strategy.type=fixed-delay", "restart-strategy.fixed-delay.attempts=10",
             "restart-strategy.fixed-delay.delay=100 ms"]
    with Cluster(task_managers=0, slots=2, options=quick) as cluster:
        rest = cluster.rest
        library = library_of(rest, "keyed_count")
        # Without any TaskManager: it waits, with a reason, and starts when one joins.
        job = submit(cluster, library, "keyed_count", options, "keyed_count-rescaled", options.rate / 2, parallelism=4)
        rest.wait_for_state(job, "CREATED")
        scaling = rest.get(f"/jobs/{job}/scaling")
        assert "waits for slots" in scaling["reason"] and scaling["slots"] == {"wanted": 4, "available": 0}, scaling
        cluster.start_task_manager()
        wait_for_parallelism(rest, job, 2)
        assert "until slots come" in rest.get(f"/jobs/{job}/scaling")["reason"]
        wait_until("a checkpoint", lambda: rest.completed_checkpoints(job) > 0)
        cluster.start_task_manager()
        wait_for_parallelism(rest, job, 4)
        assert rest.get(f"/jobs/{job}/scaling")["reason"] == ""
        wait_until("a checkpoint of it", lambda count=rest.completed_checkpoints(job):
                   rest.completed_checkpoints(job) > count)
        cluster.kill_task_manager(1)
        wait_for_parallelism(rest, job, 2)
        causes = [entry["triggerCause"] for entry in history(rest, job)]
        assert causes == ["NEW_RESOURCE_AVAILABLE", "RECOVERABLE_FAILOVER"], causes
        rest.wait_for_state(job, "FINISHED", 600)
        undisturbed = submit(cluster, library, "keyed_count", options, "keyed_count-undisturbed", 0, parallelism=2)
        rest.wait_for_state(undisturbed, "FINISHED", 600)
        lines = committed_lines(cluster.folder / "keyed_count-undisturbed")
        assert sum(json.loads(line)["count"] for line in lines.elements()) == options.records
        check_equal(cluster, "keyed_count")


def main():
    options = parser.parse_args()
    test_errors(options)
    test_output_of_rescaled_jobs(options)
    test_following_task_managers(options)


if __name__ == "__main__":
    sys.exit(main())
