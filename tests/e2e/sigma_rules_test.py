"""Sigma rules that come, change and go by a topic while events flow and TaskManagers are killed (-9).

    WEIR_TEST_BIN=build/release/bin tests/support/with_kafka python3 tests/e2e/sigma_rules_test.py

Every event matches every rule, and the job writes all events, so the output tells which rules were in force for each.
"""

import json
import sys
import threading
import time

from cluster import Cluster, library_of, wait_until
from kafka_topic import TopicWriter, brokers_or_skip

JOB_ID = "soc"
EVENTS_PER_SECOND = 100
CONFORMING = 60  # Events in a row, so from all partitions and subtasks, that show a change.


class EventStream(threading.Thread):
    """Writes numbered events until it is stopped."""

    def __init__(self, brokers):
        super().__init__(daemon=True)
        self.sent = []  # Time of event n.
        self._brokers = brokers
        self._stopping = threading.Event()
        self._failure = None

    def run(self):
        try:
            with TopicWriter(self._brokers, "events") as topic:
                while not self._stopping.wait(1 / EVENTS_PER_SECOND):
                    event = {"number": len(self.sent), "CommandLine": "vssadmin delete shadows", "User": "alice"}
                    topic.write(json.dumps(event).encode())
                    self.sent.append(time.monotonic())
        except OSError as failure:
            self._failure = failure

    def stop(self):
        self._stopping.set()
        self.join()
        if self._failure:
            raise self._failure


class RuleTopic:
    def __init__(self, brokers):
        self._topic = TopicWriter(brokers, "rules")

    def set(self, rule, title, condition="selection"):
        text = (f"title: {title}\nlogsource:\n  product: windows\n"
                f"detection:\n  selection:\n    CommandLine|contains: vssadmin\n  condition: {condition}\n")
        return self._send(rule, {"sigma": {"text": text, "level": "high"}})

    def delete(self, rule):
        return self._send(rule, {"deleted": True})

    def tombstone(self, rule):
        return self._send(rule, None)

    def close(self):
        self._topic.close()

    def _send(self, rule, message):
        """Returns when the broker had it."""
        value = None
        if message is not None:
            value = json.dumps({"job_id": JOB_ID, "case": {"id": rule}, **message}).encode()
        # One partition, as the guide says: changes to different rules come in order too.
        self._topic.write(value, f"{JOB_ID}:{rule}".encode(), partition=0)
        self._topic.flush()
        return time.monotonic()


class TaggedEvents:
    """Reads what is committed: which rules each event matched, by the event's number."""

    def __init__(self, folder):
        self.rules = {}  # Event number to {rule id: title}.
        self._folder = folder
        self._read = set()

    def update(self):
        for path in self._folder.glob("part-*.ndjson"):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            for line in path.read_text().splitlines():
                event = json.loads(line)
                number = event["number"]
                assert number not in self.rules, f"event {number} was written twice"
                rules = {found["rule_id"]: found["rule_title"] for found in event["sigma_detections"]}
                assert sorted(event["sigma_rule_ids"]) == sorted(rules), line
                self.rules[number] = rules


class Scenario:
    def __init__(self, cluster, job, events, tagged):
        self.cluster, self.job, self.events, self.tagged = cluster, job, events, tagged
        self.kills = 0

    def expect(self, what, changed_at, rules):
        """Waits until events match exactly `rules`; prints after which time the last one did not."""
        def newest_conform():
            self.tagged.update()
            newest = sorted(number for number in self.tagged.rules if self.events.sent[number] > changed_at)
            return len(newest) >= CONFORMING and all(
                self.tagged.rules[number] == rules for number in newest[-CONFORMING:])
        try:
            wait_until(f"{what}: events match {rules}", newest_conform, 60)
        except AssertionError:
            print(f"newest: {sorted(self.tagged.rules.items())[-3:]} of {len(self.events.sent)} events, job "
                  f"{self.cluster.rest.state(self.job)}: {self.cluster.rest.failures(self.job)}", flush=True)
            raise
        late = [self.events.sent[number] - changed_at for number, found in self.tagged.rules.items()
                if found != rules and self.events.sent[number] > changed_at]
        print(f"{what}: in force for all events sent {max(late, default=0):.3f} s after it, "
              f"seen in the output after {time.monotonic() - changed_at:.1f} s", flush=True)

    def expect_no_other_restarts(self):
        """Rules come and go without the job being restarted: only kills have done that."""
        rest = self.cluster.rest
        assert rest.restored(self.job) == self.kills, (rest.restored(self.job), self.kills)
        restarts = rest.get(f"/jobs/{self.job}/metrics?get=numRestarts")[0]["value"]
        assert int(float(restarts)) == self.kills, (restarts, self.kills)

    def kill(self):
        rest = self.cluster.rest
        done = rest.completed_checkpoints(self.job)
        wait_until("a checkpoint", lambda: rest.completed_checkpoints(self.job) > done)
        self.kills += 1
        print(f"kill {self.kills}", flush=True)
        self.cluster.kill_task_manager(0)
        killed_at = time.monotonic()
        self.cluster.start_task_manager()
        wait_until("the job has restored", lambda: rest.restored(self.job) >= self.kills, 120)
        rest.wait_for_state(self.job, "RUNNING", 60)
        return killed_at


def problems(folder):
    return [json.loads(line) for path in folder.glob("part-*.ndjson") for line in path.read_text().splitlines()]


def play(scenario, rules, errors, started_at):
    always = {"always": "First rule"}
    scenario.expect("started", started_at, always)

    at = rules.set("changing", "Version one")
    scenario.expect("added", at, {**always, "changing": "Version one"})
    at = rules.set("changing", "Version two")
    both = {**always, "changing": "Version two"}
    scenario.expect("changed", at, both)

    at = rules.set("broken", "Broken rule", condition="selection and (no_such_thing")
    rules.set("changing", "Version three", condition="1 of")
    found = wait_until("both broken rules are reported", lambda: len(problems(errors)) == 2 and problems(errors), 60)
    for problem in found:
        print(f"reported: {problem}", flush=True)
    assert sorted(problem["rule_id"] for problem in found) == ["broken", "changing"], found
    assert all(problem["reason"] and problem["source"] == f"{JOB_ID}:{problem['rule_id']}" for problem in found), found
    scenario.expect("broken rules", at, both)
    scenario.expect_no_other_restarts()

    at = scenario.kill()
    scenario.expect("killed", at, both)
    at = rules.delete("changing")
    scenario.expect("deleted", at, always)
    at = rules.set("again", "Short-lived")
    scenario.expect("added after the kill", at, {**always, "again": "Short-lived"})
    at = rules.tombstone("again")
    scenario.expect("deleted by a tombstone", at, always)
    scenario.expect_no_other_restarts()
    at = scenario.kill()
    scenario.expect("killed again", at, always)
    assert len(problems(errors)) == 2, problems(errors)


def main():
    brokers = brokers_or_skip()
    rules = RuleTopic(brokers)
    started_at = rules.set("always", "First rule")
    events = EventStream(brokers)
    events.start()
    wait_until("the first events", lambda: len(events.sent) > EVENTS_PER_SECOND // 2)
    # As many slots as subtasks, so that each TaskManager has a part and every kill hurts.
    with Cluster(task_managers=2, slots=1) as cluster:
        tagged, errors = TaggedEvents(cluster.folder / "tagged"), cluster.folder / "errors"
        job = cluster.rest.run(
            library_of(cluster.rest, "sigma"),
            ["--brokers", brokers, "--job-id", JOB_ID, "--rules-topic", "rules", "--events-topic", "events",
             "--starting-offset", "earliest", "--output-mode", "all_events", "--out", cluster.folder / "tagged",
             "--errors", errors],
            parallelism=2, entry="sigma")
        play(Scenario(cluster, job, events, tagged), rules, errors, started_at)
        events.stop()
        wait_until("all events are written", lambda: tagged.update() or len(tagged.rules) == len(events.sent), 60)
        assert all("always" in found for found in tagged.rules.values()), "a rule was not in force for some event"
        cluster.rest.cancel(job)
        cluster.rest.wait_for_state(job, "CANCELED")
        print(f"{len(tagged.rules)} events, each once, all with the rule that stayed")
    rules.close()


if __name__ == "__main__":
    sys.exit(main())
