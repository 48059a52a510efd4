"""The job `sigma` end to end on a real broker: an events topic to a matches topic, all of SigmaHQ's Windows rules, two TaskManagers.

    cmake --build --preset release --target weir weir-jobmanager weir-taskmanager weir-job-builder job_sigma weir-sigma
    WEIR_TEST_BIN=build/release/bin tests/support/with_kafka python3 tests/bench/sigma/end_to_end.py CORPUS [--events 100000]

CORPUS is what ../shared/tools/sigma_corpus.py has made. Three runs, a line of JSON each:

throughput  the topic is full when the job starts: events per second, and per CPU-second of the TaskManagers
latency     events come at --rate: from a record's timestamp in Kafka until its match can be read (uncommitted), p50 and p99
kill        DELIVERY_GUARANTEE=exactly_once, and a TaskManager killed (-9) half-way: the committed matches must be, event by
            event, those that `weir sigma match` finds in the same file
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "e2e"), str(HERE.parents[1])]

import kafka_topic  # noqa: E402
from cluster import BIN, Cluster, library_of, wait_until  # noqa: E402
from kafka_topic import TopicWriter, brokers_or_skip, create_topic, read_committed  # noqa: E402
from processes import cpu_seconds  # noqa: E402

PARTITIONS = 4
WARM = 500  # Events before latency is measured.


def numbered_events(corpus, count):
    """Returns the first `count` events of the corpus, each with its number in the field `n`."""
    events = []
    with open(corpus / "events.ndjson", encoding="utf-8") as lines:
        for line in lines:
            if len(events) == count:
                break
            events.append('{"n":%d,%s' % (len(events), line.strip()[1:]))
    return events


def expected_matches(events, rules, folder):
    """Returns how often each event, by its number, is matched by each rule, as `weir sigma match` says."""
    path = folder / "events.ndjson"
    path.write_text("\n".join(events) + "\n", encoding="utf-8")
    done = subprocess.run([BIN / "weir-sigma", "match", "--rules", rules, "--events", path], capture_output=True, text=True,
                          check=True)
    matches = (json.loads(line) for line in done.stdout.splitlines())
    return collections.Counter((match["event"], match["rule_id"]) for match in matches)


def write_events(brokers, topic, events, rate=None):
    """Writes the events, at `rate` a second if that is given."""
    begin = time.monotonic()
    with TopicWriter(brokers, topic) as writer:
        for number, event in enumerate(events):
            if rate:
                time.sleep(max(0, begin + number / rate - time.monotonic()))
            writer.write(event.encode())


def read_matches(brokers, topic):
    """Returns the committed matches: (event, rule) to how often."""
    found = collections.Counter()
    for value in read_committed(brokers, topic, PARTITIONS):
        event = json.loads(value)
        found.update((event["n"], rule) for rule in event["sigma_rule_ids"])
    return found


class MatchWatch(threading.Thread):
    """Notes for each match how long after its event's timestamp it could be read."""

    def __init__(self, brokers, topic):
        super().__init__(daemon=True)
        self.latencies_ms = []
        self._brokers = brokers
        self._topic = topic
        self._stopping = threading.Event()

    def run(self):
        for timestamp in kafka_topic.follow_timestamps(self._brokers, self._topic, PARTITIONS, self._stopping):
            self.latencies_ms.append(time.time() * 1000 - timestamp)

    def stop(self):
        self._stopping.set()
        self.join()


class Job:
    """The job on a fresh cluster, from topic `events-NAME` to `matches-NAME`."""

    def __init__(self, brokers, rules, name, **settings):
        self.events, self.matches = f"events-{name}", f"matches-{name}"
        for topic in (self.events, self.matches):
            create_topic(brokers, topic, PARTITIONS)
        self.cluster = Cluster(task_managers=2, slots=2)
        self._arguments = ["--rules", rules, "--brokers", brokers, "--input-topics", self.events, "--output-topic", self.matches,
                           "--starting-offset", "earliest", "--metrics-topic", "", "--flink-parallelism", "2",
                           *(f"--{flag.replace('_', '-')}={value}" for flag, value in settings.items())]

    def start(self):
        self.id = self.cluster.rest.run(library_of(self.cluster.rest, "sigma"), self._arguments, entry="sigma")
        self.cluster.rest.wait_for_state(self.id, "RUNNING", 120)

    def cpu_seconds(self):
        return cpu_seconds([process.pid for process in self.cluster.task_managers])

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.cluster.__exit__(*failure)


def wait_for_matches(brokers, topic, expected, seconds=600):
    """Waits until so many matches are committed; looks twice a second, for looking costs time too."""
    deadline = time.monotonic() + seconds
    while (found := read_matches(brokers, topic)).total() < expected.total():
        assert time.monotonic() < deadline, f"{found.total()} of {expected.total()} matches after {seconds} s"
        time.sleep(0.5)
    return found


def compare(found, expected):
    assert found == expected, (f"{(expected - found).total()} matches are missing, {(found - expected).total()} are too many: "
                               f"{list((found - expected).items())[:5]}")


def throughput(brokers, rules, events, expected):
    with Job(brokers, rules, "throughput", delivery_guarantee="at_least_once") as job:
        write_events(brokers, job.events, events)
        begin, cpu = time.monotonic(), job.cpu_seconds()
        job.start()
        found = wait_for_matches(brokers, job.matches, expected)
        elapsed, cpu = time.monotonic() - begin, job.cpu_seconds() - cpu
    compare(found, expected)
    return {"run": "throughput", "events": len(events), "matches": found.total(), "seconds": round(elapsed, 1),
            "cpu_seconds": round(cpu, 1), "events_per_second": round(len(events) / elapsed),
            "events_per_cpu_second": round(len(events) / cpu)}


def percentile(values, part):
    return round(sorted(values)[int(part * (len(values) - 1))], 1)


def latency(brokers, rules, events, expected, rate):
    with Job(brokers, rules, "latency", delivery_guarantee="at_least_once") as job:
        job.start()
        # Rules are compiled with the first event; what is measured begins when all is warm.
        write_events(brokers, job.events, events[:WARM], rate)
        warm = collections.Counter({match: times for match, times in expected.items() if match[0] < WARM})
        wait_for_matches(brokers, job.matches, warm)
        watch = MatchWatch(brokers, job.matches)
        watch.start()
        time.sleep(2)  # It reads what is new from here on.
        write_events(brokers, job.events, events[WARM:], rate)
        time.sleep(3)
        watch.stop()
    return {"run": "latency", "events_per_second": rate, "matches": len(watch.latencies_ms),
            "p50_ms": percentile(watch.latencies_ms, 0.5), "p99_ms": percentile(watch.latencies_ms, 0.99),
            "max_ms": percentile(watch.latencies_ms, 1)}


def kill(brokers, rules, events, expected, rate):
    with Job(brokers, rules, "kill", delivery_guarantee="exactly_once", flink_checkpoint_interval_ms=1000) as job:
        job.start()
        writing = threading.Thread(target=write_events, args=(brokers, job.events, events, rate), daemon=True)
        writing.start()
        rest = job.cluster.rest
        wait_until("some checkpoints", lambda: rest.completed_checkpoints(job.id) >= 3, 60)
        job.cluster.kill_task_manager(0)
        begin = time.monotonic()
        job.cluster.start_task_manager()
        wait_until("the job has restored", lambda: rest.restored(job.id) >= 1, 120)
        rest.wait_for_state(job.id, "RUNNING", 120)
        restored = time.monotonic() - begin
        assert writing.is_alive(), "the TaskManager was killed too late; raise --events"
        writing.join()
        found = wait_for_matches(brokers, job.matches, expected)
        time.sleep(3)  # Nothing may follow.
        found = read_matches(brokers, job.matches)
    compare(found, expected)
    return {"run": "kill", "events": len(events), "matches": found.total(), "lost": 0, "doubled": 0,
            "running_again_after_seconds": round(restored, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--rules", default="rules-all", help="a folder of the corpus")
    options = parser.parse_args()
    brokers = brokers_or_skip()
    rules = options.corpus / options.rules
    events = numbered_events(options.corpus, options.events)
    paced = events[:20 * options.rate]  # Twenty seconds of them.
    with tempfile.TemporaryDirectory() as folder:
        expected = expected_matches(events, rules, pathlib.Path(folder))
        expected_of_paced = expected_matches(paced, rules, pathlib.Path(folder))
    print(json.dumps(throughput(brokers, rules, events, expected)), flush=True)
    print(json.dumps(latency(brokers, rules, paced, expected_of_paced, options.rate)), flush=True)
    print(json.dumps(kill(brokers, rules, paced, expected_of_paced, options.rate)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
