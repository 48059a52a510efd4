"""The job sigma on a real broker that asks who its clients are: events to matches, exactly once, with SASL or with TLS.

    WEIR_TEST_BIN=build/release/bin tests/support/with_kafka --sasl python3 tests/e2e/kafka_security_test.py sasl
    WEIR_TEST_BIN=build/release/bin tests/support/with_kafka --tls python3 tests/e2e/kafka_security_test.py tls

No password may stand where others can read it: on a command line, in a log, in what the REST API tells.
"""

import json
import os
import pathlib
import sys

import kafka_topic
from cluster import Cluster, library_of, wait_until
from kafka_topic import TopicWriter, brokers_or_skip, read_committed

PARTITIONS = 4  # Of topics that the broker makes by itself.
EVENTS = 200
SECRET = "alice-secret"
RULE = """title: Whoami
id: whoami
detection:
  s:
    CommandLine|contains: whoami
  condition: s
"""
SETTINGS = """
KAFKA_BOOTSTRAP_SERVERS={brokers}
KAFKA_INPUT_TOPICS=events
KAFKA_OUTPUT_TOPIC=matches
KAFKA_METRICS_TOPIC=
KAFKA_STARTING_OFFSET=earliest
DELIVERY_GUARANTEE=exactly_once
FLINK_CHECKPOINT_INTERVAL_MS=1000
JOB_ID=soc
"""


def security(kind):
    """Returns the job's settings, and librdkafka's for this test."""
    if kind == "sasl":
        return ({"KAFKA_AUTH_METHOD": "SASL_PLAINTEXT", "KAFKA_API_KEY": "alice", "KAFKA_API_SECRET": SECRET},
                {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "alice",
                 "sasl.password": SECRET})
    folder = pathlib.Path(os.environ["SERVICES_DIR"]) / "kafka" / "tls"
    files = {"CA": "ca.pem", "CERTIFICATE": "client.pem", "KEY": "client.key"}
    return ({"KAFKA_AUTH_METHOD": "SSL", **{f"KAFKA_SSL_{part}_LOCATION": str(folder / name) for part, name in files.items()}},
            {"security.protocol": "SSL",
             **{f"ssl.{part.lower()}.location": str(folder / name) for part, name in files.items()}})


def command_lines():
    """Yields the command lines of all processes that can be read."""
    for folder in pathlib.Path("/proc").iterdir():
        try:
            yield (folder / "cmdline").read_bytes() if folder.name.isdigit() else b""
        except OSError:
            pass  # It has ended.


def read_matches(brokers):
    try:
        return sorted(json.loads(value)["n"] for value in read_committed(brokers, "matches", PARTITIONS))
    except OSError:
        return []  # There is no such topic yet.


def check_secrecy(cluster, job):
    assert not any(SECRET.encode() in line for line in command_lines()), "a command line shows the password"
    for path in cluster.folder.rglob("*.log"):
        assert SECRET not in path.read_text(errors="replace"), f"{path} shows the password"
    for path in (f"/jobs/{job}", f"/jobs/{job}/config", f"/jobs/{job}/plan"):
        assert SECRET not in json.dumps(cluster.rest.call("GET", path)), f"{path} shows the password"


def main():
    kind = sys.argv[1]
    brokers = brokers_or_skip()
    settings, kafka_topic.CLIENT_PROPERTIES = security(kind)
    with TopicWriter(brokers, "sigma-rules") as rules:
        rules.write(json.dumps({"job_id": "soc", "case": {"id": "whoami"}, "sigma": {"text": RULE}}).encode(), b"soc:whoami")
    with TopicWriter(brokers, "events") as events:
        for number in range(EVENTS):
            command = "whoami /all" if number % 2 else "dir"
            events.write(json.dumps({"n": number, "CommandLine": command}).encode())
    with Cluster(task_managers=1, slots=2) as cluster:
        lines = SETTINGS.format(brokers=brokers) + "".join(f"{name}={value}\n" for name, value in settings.items())
        (cluster.folder / "job.env").write_text(lines)
        job = cluster.rest.run(library_of(cluster.rest, "sigma"), ["--env-file", cluster.folder / "job.env"], entry="sigma")
        expected = list(range(1, EVENTS, 2))
        wait_until("all matches are committed", lambda: len(read_matches(brokers)) >= len(expected), 60)
        assert read_matches(brokers) == expected
        check_secrecy(cluster, job)
    print(f"{kind}: {len(expected)} matches of {EVENTS} events, and no password to be seen", flush=True)


if __name__ == "__main__":
    sys.exit(main())
