"""Correlations on a real broker across a TaskManager killed (-9): the committed alerts are, one by one, those that `weir sigma match`
finds in the same events, although these come out of order from four partitions.

    WEIR_TEST_BIN=build/release/bin tests/support/with_kafka python3 tests/e2e/sigma_correlation_test.py
"""

import collections
import datetime
import itertools
import json
import random
import subprocess
import sys

from cluster import BIN, Cluster, library_of, wait_until
from kafka_topic import TopicWriter, brokers_or_skip, create_topic, read_committed

PARTITIONS = 4
EVENTS = 3000
BATCH = 100
EPOCH = 1_750_000_000
RULES = {
    "failure": "title: failure\nid: failure\ndetection: {s: {kind: failure}, condition: s}\n",
    "logon": "title: logon\nid: logon\ndetection: {s: {kind: logon}, condition: s}\n",
    "guessing": """title: guessing
id: guessing
correlation:
  type: event_count
  rules: [failure]
  group-by: [user]
  timespan: 60s
  condition: {gte: 8}
  generate: true
""",
    "spraying": """title: spraying
id: spraying
correlation:
  type: value_count
  rules: [failure]
  group-by: [host]
  timespan: 90s
  condition: {field: user, gte: 6}
""",
    "guessed": """title: guessed
id: guessed
generate: true
correlation:
  type: temporal_ordered
  rules: [guessing, logon]
  group-by: [user]
  timespan: 5m
""",
    "slow": """title: slow
id: slow
correlation:
  type: value_avg
  rules: [logon]
  group-by: [host]
  timespan: 2m
  condition: {field: ms, gt: 52}
""",
}
SETTINGS = """
KAFKA_BOOTSTRAP_SERVERS={brokers}
KAFKA_INPUT_TOPICS=events
KAFKA_OUTPUT_TOPIC=alerts
KAFKA_METRICS_TOPIC=
KAFKA_STARTING_OFFSET=earliest
DELIVERY_GUARANTEE=exactly_once
FLINK_CHECKPOINT_INTERVAL_MS=1000
FLINK_PARALLELISM=2
EVENT_TIME_FIELDS=@timestamp
JOB_ID=soc
"""


def time_text(second):
    return datetime.datetime.fromtimestamp(EPOCH + second, datetime.UTC).isoformat().replace("+00:00", "Z")


def make_events(seed):
    """Events half a second apart, none more than five seconds out of order."""
    chosen = random.Random(seed)
    order = sorted(range(EVENTS), key=lambda number: number + chosen.uniform(0, 10))
    events = []
    for number in order:
        kind = chosen.choice(["failure", "failure", "failure", "logon", "other"])
        events.append({"@timestamp": time_text(number / 2), "kind": kind, "user": f"user-{chosen.randrange(12)}",
                       "host": f"host-{chosen.randrange(9)}", "ms": chosen.randrange(100)})
    return events


def key(alert, rule):
    return (rule, json.dumps(alert["group"]), alert["time"], alert["first"], round(alert["value"], 6))


def expected_alerts(folder, events):
    (folder / "rules.yml").write_text("---\n".join(RULES.values()))
    (folder / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
    done = subprocess.run([BIN / "weir-sigma", "match", "--rules", folder / "rules.yml", "--events", folder / "events.ndjson"],
                          capture_output=True, text=True, check=True)
    lines = map(json.loads, done.stdout.splitlines())
    return collections.Counter(key(line["correlation"], line["rule_id"]) for line in lines if "correlation" in line)


def read_alerts(brokers):
    values = map(json.loads, read_committed(brokers, "alerts", PARTITIONS))
    return collections.Counter(key(value["correlation"], value["sigma_rule_ids"][0]) for value in values if "correlation" in value)


def send_all(brokers, events, half_way):
    with TopicWriter(brokers, "events") as topic:
        for number, event in enumerate(events):
            topic.write(json.dumps(event).encode(), partition=number % PARTITIONS)
            if number % BATCH == 0:
                topic.flush()
            if number == EVENTS // 2:
                topic.flush()
                half_way(topic)
        # Brings event time past all windows, in every partition.
        for partition in range(PARTITIONS):
            topic.write(json.dumps({"@timestamp": time_text(EVENTS / 2 + 3600), "kind": "other"}).encode(), partition=partition)


def change_rules(cluster, job, brokers, events):
    """A rule comes, changes and goes while correlations are under way. That none of them is disturbed, what is expected says."""
    def send(text):
        message = {"job_id": "soc", "case": {"id": "extra"}, **({"sigma": {"text": text}} if text else {"deleted": True})}
        with TopicWriter(brokers, "sigma-rules") as rules:
            rules.write(json.dumps(message).encode(), b"soc:extra")

    def titles(number):
        """Writes an event that no correlation looks at; returns the titles of the extra rule so far."""
        event = {"@timestamp": time_text(EVENTS / 4), "kind": "extra", "number": number}
        events.write(json.dumps(event).encode(), partition=number % PARTITIONS)
        events.flush()
        values = map(json.loads, read_committed(brokers, "alerts", PARTITIONS))
        return [found["rule_title"] for value in values for found in value.get("sigma_detections", ())
                if found["rule_id"] == "extra"]

    numbers = itertools.count()
    for title in ("extra one", "extra two"):
        send(f"title: {title}\nid: extra\ndetection: {{s: {{kind: extra}}, condition: s}}\n")
        wait_until(f"the rule {title} is in force", lambda title=title: title in titles(next(numbers)))
    send(None)
    rest = cluster.rest
    restarts = rest.get(f"/jobs/{job}/metrics?get=numRestarts")[0]["value"]
    assert int(float(restarts)) == 0 and rest.restored(job) == 0, restarts


def main():
    brokers = brokers_or_skip()
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    events = make_events(seed)
    for topic in ("events", "alerts"):
        create_topic(brokers, topic, PARTITIONS)
    with TopicWriter(brokers, "sigma-rules") as rules:
        for name, text in RULES.items():
            rules.write(json.dumps({"job_id": "soc", "case": {"id": name}, "sigma": {"text": text}}).encode(),
                        f"soc:{name}".encode())
    with Cluster(task_managers=2, slots=2) as cluster:
        expected = expected_alerts(cluster.folder, events)
        for name in ("guessing", "spraying", "guessed", "slow"):
            assert sum(rule == name for rule, *_ in expected), f"nothing is expected of {name}"
        (cluster.folder / "job.env").write_text(SETTINGS.format(brokers=brokers))
        job = cluster.rest.run(library_of(cluster.rest, "sigma"), ["--env-file", cluster.folder / "job.env"], entry="sigma")
        cluster.rest.wait_for_state(job, "RUNNING")

        def change_rules_then_kill(topic):
            change_rules(cluster, job, brokers, topic)
            done = cluster.rest.completed_checkpoints(job)
            wait_until("a checkpoint with state", lambda: cluster.rest.completed_checkpoints(job) > done + 1)
            cluster.kill_task_manager(0)
            cluster.start_task_manager()
        send_all(brokers, events, change_rules_then_kill)
        wait_until("the job has restored", lambda: cluster.rest.restored(job) >= 1, 120)
        wait_until("all alerts are committed", lambda: read_alerts(brokers).total() >= expected.total(), 90)
        found = read_alerts(brokers)
        assert found == expected, (f"missing: {list((expected - found).items())[:5]} "
                                   f"too many: {list((found - expected).items())[:5]}")
    print(f"{found.total()} alerts of {len(events)} events, as they should be, across a kill", flush=True)


if __name__ == "__main__":
    sys.exit(main())
