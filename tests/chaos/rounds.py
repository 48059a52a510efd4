"""A round of a chaos run: a job undisturbed, the same job under faults, and the comparison of what both have committed."""

import collections
import concurrent.futures
import pathlib
import shutil
import tempfile
import time

import cluster as clusters
import faults
import processes

RATE = 4000  # Records a second of each source.
STUCK_SECONDS = 120
TRANSACTION_SECONDS = 20


class Tally:
    """What a run has done so far."""

    def __init__(self):
        self.faults = collections.Counter()  # By name.
        self.left_out = collections.Counter()
        self.rounds = self.wrong = self.lines = self.lost = self.doubled = self.repeated = 0
        self.recovery_seconds = []


class Round:
    """What faults see of it: plan, cluster, disk, job, broker (None without), wanted_parallelism."""

    def __init__(self, plan, disk, broker, tally, keep):
        self.plan = plan
        self.disk = disk
        self.broker = broker if plan.kafka else None
        self.tally = tally
        self.cluster = None
        self.job = None
        self.wanted_parallelism = None
        self._library = None
        self._keep = keep
        self._begin = time.monotonic()
        self._records = int(RATE * plan.seconds)

    def run(self, deadline):
        """Returns whether the output is right; faults end at `deadline`, if the job has not ended before."""
        print(self.plan.text(), flush=True)
        tempfile.tempdir = str(self.disk.folder)  # Where the cluster makes its folder.
        logs = pathlib.Path(tempfile.mkdtemp(prefix="weir-chaos-logs-", dir=self._keep))
        right = False
        try:
            with processes.Cluster(self.plan, logs) as self.cluster:
                right = self._run(deadline)
                if not right:
                    shutil.copytree(self.cluster.folder, logs / "cluster", ignore=shutil.ignore_patterns("tmp", "checkpoints"))
            return right
        except BaseException:
            clusters.show_logs(logs, lines=30)
            raise
        finally:
            tempfile.tempdir = None
            if right and not self._keep:
                shutil.rmtree(logs, ignore_errors=True)
            else:
                print(f"logs and output: {logs}", flush=True)

    def _run(self, deadline):
        self._library = self.cluster.rest.upload(clusters.JOBS / "libchaos_pipelines.so")
        if self.broker:
            self.broker.fill(self._topic("from"), self._records)
        undisturbed = self._submit("undisturbed", rate=0)
        self.cluster.rest.wait_for_state(undisturbed, "FINISHED", STUCK_SECONDS)
        expected = self._committed("undisturbed")
        assert expected, "the undisturbed run committed nothing"
        self.job = self._submit("disturbed", rate=RATE)
        self._disturb(deadline)
        self._wait_for_end()
        return self._compare(expected, self._committed("disturbed"))

    def say(self, text):
        print(f"{time.monotonic() - self._begin:7.1f} s  {text}", flush=True)

    def _topic(self, name):
        return f"{name}-{self.plan.number}"

    def _submit(self, out, rate):
        arguments = ["--pipelines", ",".join(self.plan.pipelines), "--records", self._records, "--rate", rate, "--keys", self.plan.keys,
                     "--seed", self.plan.data_seed, "--out", self.cluster.folder / out]
        if self.broker:
            self.broker.create(self._topic(out))
            arguments += ["--brokers", self.broker.address, "--from", self._topic("from"), "--to", self._topic(out)]
        return self.cluster.rest.run(self._library, arguments, parallelism=self.plan.parallelism, entry="chaos_pipelines",
                                     settings=self.plan.job_settings())

    def _committed(self, out):
        lines = clusters.committed_lines(self.cluster.folder / out)
        if self.broker:
            lines += self.broker.committed_lines(self._topic(out))
        return lines

    def _disturb(self, deadline):
        """Steps until the job ends or the time is over, each a while after the job has got over the one before."""
        if not self._recover(allow_ends=False):
            return
        with concurrent.futures.ThreadPoolExecutor() as executor:
            for step in self.plan.steps():
                time.sleep(step.pause)
                if time.monotonic() > deadline or self.cluster.rest.state(self.job) in clusters.TERMINAL:
                    return
                for done in [executor.submit(self._do, event) for event in step.events]:
                    done.result()
                begin = time.monotonic()
                # A process that starts, or writes, while there is no room may give up.
                if not self._recover(allow_ends=any(event.fault.name == "full disk" for event in step.events)):
                    return
                self.tally.recovery_seconds.append(time.monotonic() - begin)

    def _do(self, event):
        time.sleep(event.delay)
        try:
            done = event.fault.do(self, **event.drawn)
        except faults.Unavailable as reason:
            self.say(f"NOT DONE: {event.fault.name}: {reason}")
            self.tally.left_out[f"{event.fault.name}: {str(reason)[:60]}"] += 1
        else:
            self.say(f"{event.fault.name}: {done}")
            self.tally.faults[event.fault.name] += 1

    def _recover(self, allow_ends):
        """Waits until all processes are back and a checkpoint has completed that began after now, with the parallelism that was asked
        for last; returns False once the job has ended."""
        rest = self.cluster.rest
        begin_ms = time.time() * 1000

        def state():
            state = rest.state(self.job)
            assert state not in ("FAILED", "CANCELED"), f"the job is {state}: {rest.failures(self.job)[:1]}"
            return state

        def went_on():
            for text in self.cluster.revive(allow_ends):
                self.say(text)
            if state() == "FINISHED":
                return True
            latest = rest.get(f"/jobs/{self.job}/checkpoints")["latest"]["completed"]
            return (latest is not None and latest["trigger_timestamp"] > begin_ms and self._has_parallelism()
                    and len(rest.task_managers()) >= self.plan.task_managers)
        clusters.wait_until(f"the job has got over it (parallelism {self.wanted_parallelism})", went_on, STUCK_SECONDS)
        return state() != "FINISHED"

    def _has_parallelism(self):
        if self.wanted_parallelism is None:
            return True
        vertices = self.cluster.rest.get(f"/jobs/{self.job}")["vertices"]
        return max(vertex["parallelism"] for vertex in vertices) == self.wanted_parallelism

    def _wait_for_end(self):
        def ended():
            self.cluster.revive(allowed=False)
            state = self.cluster.rest.state(self.job)
            assert state not in ("FAILED", "CANCELED"), f"the job is {state}: {self.cluster.rest.failures(self.job)[:1]}"
            return state == "FINISHED"
        clusters.wait_until("the job ends", ended, 3 * STUCK_SECONDS)
        self.say("finished")
        if self.broker:
            clusters.wait_until("no transaction is open", lambda: not self.broker.open_transactions(), TRANSACTION_SECONDS)

    def _compare(self, expected, actual):
        repeated = 0
        if self.plan.repeats_allowed:  # No line stands twice in an undisturbed run.
            repeated = sum(actual.values()) - len(actual)
            actual = collections.Counter(actual.keys())
        missing, extra = expected - actual, actual - expected
        self.tally.lines += sum(expected.values())
        self.tally.lost += sum(missing.values())
        self.tally.doubled += sum(extra.values())
        self.tally.repeated += repeated
        if actual == expected:
            self.say(f"equal: {sum(actual.values())} lines" + (f", {repeated} committed again" if self.plan.repeats_allowed else ""))
            return True
        self.say(f"DIFFERENT: {sum(missing.values())} lines lost, {sum(extra.values())} too many, of {sum(expected.values())}")
        for name, lines in (("lost", missing), ("too many", extra)):
            for line, count in collections.Counter(lines).most_common(5):
                print(f"  {name}: {count} x {line}")
        return False
