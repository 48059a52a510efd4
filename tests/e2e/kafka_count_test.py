"""kafka_keyed_count while TaskManagers are killed (-9): what is committed equals what was written to the topic.

    WEIR_TEST_BIN=build/release/bin tests/support/with_kafka python3 tests/e2e/kafka_count_test.py [--seed S]
"""

import argparse
import collections
import json
import random
import re
import sys
import time

from cluster import Cluster, committed_lines, library_of, wait_until
from kafka_topic import TopicWriter, brokers_or_skip, create_topic, limit_consumers

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--records", type=int, default=3_000_000)
parser.add_argument("--keys", type=int, default=1_000)
parser.add_argument("--kills", type=int, default=3)
parser.add_argument("--rate", type=int, default=2_000_000, help="bytes a second from the broker, for time to kill")
parser.add_argument("--seed", type=int, default=None, help="of keys and the kills' moments; else random")
TOPIC = "numbers"
PARTITIONS = 4


def write_records(brokers, options, randomness):
    """Returns the lines that the job is to write."""
    begin = time.monotonic()
    values = [json.dumps({"key": key}).encode() for key in range(options.keys)]
    counts = collections.Counter()
    with TopicWriter(brokers, TOPIC) as topic:
        left = options.records
        while left > 0:
            keys = randomness.choices(range(options.keys), k=min(left, 100_000))
            counts.update(keys)
            left -= len(keys)
            for key in keys:
                topic.write(values[key])
    print(f"{options.records} records written in {time.monotonic() - begin:.1f} s", flush=True)
    return collections.Counter(json.dumps({"key": key, "count": count}, separators=(",", ":"))
                               for key, count in counts.items())


def check_autoscaler_metrics(rest, job):
    """N2: what Flink's autoscaler reads of a Kafka source: its backlog, and the number of partitions by the names."""
    source = next(vertex for vertex in rest.get(f"/jobs/{job}")["vertices"] if vertex["name"].startswith("Source"))
    path = f"/jobs/{job}/vertices/{source['id']}/subtasks/metrics"

    def metrics():
        return {metric["id"] for metric in rest.get(path)}

    def partitions():
        found = (re.search(rf"KafkaSourceReader\.topic\.{TOPIC}\.partition\.(\d+)\.currentOffset$", name) for name in metrics())
        return sorted(int(match[1]) for match in found if match)

    wait_until("every partition has an offset", lambda: partitions() == list(range(PARTITIONS)))
    pending = sorted(name for name in metrics() if name.endswith(".pendingRecords"))
    assert len(pending) == 1, pending
    wait_until("there is a backlog", lambda: rest.get(f"{path}?get={pending[0]}&agg=sum")[0]["sum"] > 0)


def kill_often(cluster, job, options, randomness):
    rest = cluster.rest
    begin = time.monotonic()
    for number in range(1, options.kills + 1):
        rest.wait_for_state(job, "RUNNING", 120)
        # A moment after a checkpoint of this attempt, so that each kill has something to restore.
        done = rest.completed_checkpoints(job)
        wait_until("a checkpoint of this attempt", lambda done=done: rest.completed_checkpoints(job) > done)
        moment = time.monotonic() + randomness.uniform(0, 1.5)
        wait_until("the moment", lambda moment=moment: time.monotonic() >= moment)
        state = rest.state(job)
        assert state == "RUNNING", f"the job is {state} before kill {number}: give more --records or a lower --rate"
        victim = randomness.randrange(len(cluster.task_managers))
        print(f"{time.monotonic() - begin:6.1f} s: kill {number} of TaskManager {victim}", flush=True)
        cluster.kill_task_manager(victim)
        cluster.start_task_manager()
        wait_until("the job has restored", lambda number=number: rest.restored(job) >= number, 120)
    rest.wait_for_state(job, "FINISHED", 240)
    print(f"{time.monotonic() - begin:6.1f} s: finished, restored {rest.restored(job)} times", flush=True)


def main():
    options = parser.parse_args()
    brokers = brokers_or_skip()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    randomness = random.Random(seed)
    create_topic(brokers, TOPIC, PARTITIONS)
    expected = write_records(brokers, options, randomness)
    limit_consumers(brokers, options.rate)
    # As many slots as subtasks, so that each TaskManager has a part and every kill hurts.
    with Cluster(task_managers=2, slots=1) as cluster:
        out = cluster.folder / "counts"
        job = cluster.rest.run(
            library_of(cluster.rest, "kafka_keyed_count"),
            ["--brokers", brokers, "--topic", TOPIC, "--group", "kafka-count-test", "--out", out],
            parallelism=2, entry="kafka_keyed_count")
        check_autoscaler_metrics(cluster.rest, job)
        kill_often(cluster, job, options, randomness)
        actual = committed_lines(out)
        missing, extra = expected - actual, actual - expected
        for name, lines in (("missing", missing), ("too many", extra)):
            for line, count in lines.most_common(10):
                print(f"  {name}: {count} x {line}")
        assert not missing and not extra, (
            f"{sum(missing.values())} lines missing, {sum(extra.values())} too many; seed {seed}")
        print(f"equal: {sum(actual.values())} lines over {options.records} records, {options.kills} kills")


if __name__ == "__main__":
    sys.exit(main())
