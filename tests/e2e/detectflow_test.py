"""DetectFlow's contract on a real broker: settings from a .env file, several topics of events, rules, parser, filter and custom
fields that change while events flow, exactly-once output, statistics and dead letters, across a TaskManager killed (-9).

    WEIR_TEST_BIN=build/release/bin tests/support/with_kafka python3 tests/e2e/detectflow_test.py

All events go out, each with its number, so the output tells what was in force for each of them.
"""

import json
import sys

from cluster import Cluster, committed_lines, library_of, wait_until
from kafka_topic import TopicWriter, brokers_or_skip, create_topic, read_committed, read_committed_records

JOB_ID = "soc"
PARTITIONS = 4  # Of topics that the broker makes by itself.
SETTINGS = """
KAFKA_BOOTSTRAP_SERVERS={brokers}
KAFKA_AUTH_METHOD=PLAINTEXT
KAFKA_INPUT_TOPICS=logons, audits
KAFKA_OUTPUT_TOPIC=detections
KAFKA_STARTING_OFFSET=earliest
KAFKA_DEAD_LETTER_TOPIC=dead-letters
OUTPUT_MODE=all_events
APPLY_PARSER_TO_OUTPUT_EVENTS=true
DELIVERY_GUARANTEE=exactly_once
FLINK_CHECKPOINT_INTERVAL_MS=1000
FLINK_PARALLELISM=2
WINDOW_SIZE_SECONDS=1
JOB_ID=overwritten-by-the-flag
"""


class ControlTopic:
    def __init__(self, brokers):
        self._topic = TopicWriter(brokers, "sigma-rules")

    def send(self, key, message):
        value = None if message is None else json.dumps({"job_id": JOB_ID, **message}).encode()
        self._topic.write(value, f"{JOB_ID}:{key}".encode(), partition=0)
        self._topic.flush()

    def rule(self, rule, user):
        text = (f"title: {rule}\nlogsource: {{product: windows}}\nlevel: high\ntags: [attack.t1078]\n"
                f"detection:\n  s: {{User: {user}}}\n  condition: s\n")
        self.send(rule, {"case": {"id": rule, "name": f"Name of {rule}"}, "sigma": {"text": text}})

    def delete_rule(self, rule):
        """As the backend does it: a logical delete, then a tombstone."""
        self.send(rule, {"case": {"id": rule}, "sigma": {"text": ""}})
        self.send(rule, None)

    def filter(self, name, field):
        self.send(f"prefilter:{name}", {"type": "filter", "filter_id": name,
                                        "filter_body": f"detection:\n  s: {{{field}: true}}\n  condition: s\n"})

    def delete_filter(self, name):
        self.send(f"prefilter:{name}", {"type": "filter", "filter_id": name, "deleted": True})

    def parser(self, config, mapping):
        self.send("parser", {"type": "parser", "parser": {"id": "1", "name": "p", "config": config}, "mapping": mapping})

    def custom_fields(self, text):
        self.send("custom_fields", {"type": "custom_fields", "custom_fields": text})

    def close(self):
        self._topic.close()


class Events:
    """Writes numbered events to both topics and reads what became of them."""

    def __init__(self, brokers):
        self._brokers = brokers
        self._topics = [TopicWriter(brokers, name) for name in ("logons", "audits")]
        self.sent = 0
        self.poison = 0
        self.may_be_missing = set()  # Numbers of events that a filter may have excluded.

    def send(self, count, **fields):
        """Returns the numbers of the events."""
        numbers = range(self.sent, self.sent + count)
        for number in numbers:
            message = {"n": number, "name": "bob" if number % 3 == 0 else "eve", **fields}
            self._topics[number % 2].write(json.dumps({"message": json.dumps(message)}).encode(),
                                           f"host-{number % 7}".encode())
        self.sent += count
        self._flush()
        return numbers

    def send_poison(self):
        for value in (b"[1]", b'"x"', b"5", b"null", b"{broken", b"\xff"):
            self._topics[self.poison % 2].write(value, b"poison")
            self.poison += 1
        self._flush()

    def _flush(self):
        for topic in self._topics:
            topic.flush()

    def read(self):
        """Returns what is committed: number to event. Fails if an event is there twice."""
        found = {}
        for key, value, timestamp in read_committed_records(self._brokers, "detections", PARTITIONS):
            event = json.loads(value)
            number = event["n"]
            assert number not in found, f"event {number} was written twice"
            assert key == f"host-{number % 7}".encode(), (key, event)
            assert timestamp > 1_600_000_000_000, timestamp
            found[number] = event
        return found

    def wait_for(self, numbers):
        """Returns the events of these numbers when all of them have come out."""
        missing = set(numbers)

        def all_there():
            found = self.read()
            missing.difference_update(found)
            return found if not missing else None
        found = wait_until(f"events {numbers} come out", all_there, 90)
        return [found[number] for number in numbers]

    def settle(self, what, expected, **fields):
        """Sends events until all of a batch, so from every partition, are as expected(event) says."""
        def batch_conforms():
            return all(map(expected, self.wait_for(self.send(40, **fields))))
        wait_until(what, batch_conforms, 120)
        print(what, flush=True)

    def close(self):
        for topic in self._topics:
            topic.close()


def ids(event):
    assert [found["rule_id"] for found in event["sigma_detections"]] == event["sigma_rule_ids"], event
    return event["sigma_rule_ids"]


def expects(bob, eve):
    return lambda event: ids(event) == (bob if event["n"] % 3 == 0 else eve)


def kill(cluster, job):
    done = cluster.rest.completed_checkpoints(job)
    wait_until("a checkpoint", lambda: cluster.rest.completed_checkpoints(job) > done)
    cluster.kill_task_manager(0)
    cluster.start_task_manager()
    wait_until("the job has restored", lambda: cluster.rest.restored(job) >= 1, 120)
    cluster.rest.wait_for_state(job, "RUNNING", 60)


def change_everything(control, events):
    """Each kind of message, one after the other, while events flow."""
    control.rule("r2", "eve")
    events.settle("a rule came", expects(["r1"], ["r2"]))
    control.rule("r2", "nobody")
    events.settle("a rule changed", expects(["r1"], []))
    control.filter("f2", "quiet")

    def quiet_events_stay_away():
        quiet = events.send(40, quiet=True)
        events.may_be_missing.update(quiet)
        # Behind them in every partition.
        events.wait_for(events.send(40))
        return not set(quiet) & set(events.read())
    wait_until("a filter came", quiet_events_stay_away, 120)
    control.delete_filter("f2")

    def quiet_events_come():
        quiet = events.send(40, quiet=True)
        events.may_be_missing.update(quiet)
        events.wait_for(events.send(40))
        return set(quiet) <= set(events.read())
    wait_until("a filter went", quiet_events_come, 120)
    print("a filter came and went", flush=True)
    control.custom_fields("tenant: apac\n")
    events.settle("custom fields changed", lambda event: event["tenant"] == "apac")
    control.parser({"steps": ["parse_json", {"function": "set", "args": {"field": "name", "value": "bob"}}],
                    "args": {"parse_json": {"field": "message"}}}, "User: name")
    events.settle("the parser changed", expects(["r1"], ["r1"]))
    control.delete_rule("r2")


def check_statistics(brokers, events):
    """With exactly-once output the statistics count each event once, killed TaskManagers or not."""
    def totals():
        messages = [json.loads(value) for value in read_committed(brokers, "rule-statistics", PARTITIONS)]
        assert all(message["job_id"] == JOB_ID for message in messages)
        return sum(message["window_total_events"] for message in messages), messages
    wait_until(f"statistics of {events.sent} events", lambda: totals()[0] == events.sent, 60)
    messages = totals()[1]
    found = events.read()
    by_rule = sum(rule["window_matches"] for message in messages for rule in message["rules"]["matched_rules"])
    assert by_rule == sum(len(ids(event)) for event in found.values()), by_rule
    assert sum(message["window_matched_events"] for message in messages) == sum(bool(ids(event)) for event in found.values())
    print(f"{len(messages)} messages of statistics count {events.sent} events and {by_rule} matches", flush=True)
    missing = set(range(events.sent)) - set(found)
    assert missing <= events.may_be_missing, missing - events.may_be_missing


def run_over_history(cluster, brokers, expected):
    """The same rules over all that is in the topics, to its end."""
    found = cluster.folder / "history"
    job = cluster.rest.run(library_of(cluster.rest, "sigma"),
                           ["--brokers", brokers, "--job-id", JOB_ID, "--input-topics", "logons,audits", "--until-end",
                            "--output-mode", "all_events", "--out", found], parallelism=2, entry="sigma")
    cluster.rest.wait_for_state(job, "FINISHED", 60)
    lines = committed_lines(found)
    assert sum(lines.values()) == expected, (sum(lines.values()), expected)
    print(f"a run over history found {expected} events", flush=True)


def main():
    brokers = brokers_or_skip()
    create_topic(brokers, "detections", PARTITIONS)  # It is read before anybody writes to it.
    control, events = ControlTopic(brokers), Events(brokers)
    control.rule("r1", "bob")
    control.parser({"steps": ["parse_json"], "args": {"parse_json": {"field": "message"}}}, "User: name")
    control.filter("f1", "drop")
    control.custom_fields("tenant: emea\n")
    control.send("other", {"job_id": "another", "case": {"id": "other"}, "sigma": {"text": "title: t"}})
    first = events.send(400)
    dropped = events.send(50, drop=True)
    events.may_be_missing.update(dropped)
    events.send_poison()
    with Cluster(task_managers=2, slots=2) as cluster:
        (cluster.folder / "job.env").write_text(SETTINGS.format(brokers=brokers))
        job = cluster.rest.run(library_of(cluster.rest, "sigma"),
                               ["--env-file", cluster.folder / "job.env", "--job-id", JOB_ID], entry="sigma")
        for event in events.wait_for(first):
            assert expects(["r1"], [])(event), event
            assert event["tenant"] == "emea" and "message" not in event, event
        assert not set(dropped) & set(events.read()), "a filtered event came out"
        print("all that was there at the start was in force for the first event", flush=True)
        kill(cluster, job)
        events.send_poison()
        events.settle("after a kill", expects(["r1"], []))
        change_everything(control, events)
        events.settle("a rule went", expects(["r1"], ["r1"]))
        check_statistics(brokers, events)
        letters = [json.loads(value) for value in read_committed(brokers, "dead-letters", PARTITIONS)]
        assert len(letters) == events.poison, letters
        assert all(letter["reason"] and letter["source"].split("/")[0] in ("logons", "audits") for letter in letters), letters
        cluster.rest.cancel(job)
        cluster.rest.wait_for_state(job, "CANCELED")
        run_over_history(cluster, brokers, events.sent - len(dropped))
    control.close()
    events.close()


if __name__ == "__main__":
    sys.exit(main())
