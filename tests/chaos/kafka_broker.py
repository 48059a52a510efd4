"""The Kafka broker of a chaos run, which tests/support/with_kafka has started: its topics, and what a careful reader sees in them."""

import collections
import os
import pathlib
import subprocess
import threading
import time

import kafka_topic

PARTITIONS = 4
READ_SECONDS = 300  # Hundreds of thousands of records, on a busy machine.


class Broker:
    """`lock` is held while it is down on purpose. Threads: any."""

    def __init__(self, address, service, directory):
        self.address = address
        self.lock = threading.Lock()
        self._service = service
        self._directory = pathlib.Path(directory)

    @classmethod
    def from_environment(cls):
        """Returns the broker, or None if there is none."""
        if "KAFKA_BOOTSTRAP_SERVERS" not in os.environ:
            return None
        return cls(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["KAFKA_SERVICE"], os.environ["SERVICES_DIR"])

    def pid(self):
        return int((self._directory / "kafka" / "broker-0.pid").read_text().split()[0])

    def restart(self, pause):
        """Kills it (-9), and returns when it serves again."""
        with self.lock:
            self._run("kill")
            time.sleep(pause)
            self._run("start")

    def fill(self, topic, numbers):
        """Writes the numbers below `numbers` to a new topic."""
        kafka_topic.create_topic(self.address, topic, PARTITIONS)
        with kafka_topic.TopicWriter(self.address, topic) as writer:
            for number in range(numbers):
                writer.write(str(number).encode(), partition=number % PARTITIONS)

    def create(self, topic):
        kafka_topic.create_topic(self.address, topic, PARTITIONS)

    def committed_lines(self, topic):
        """Returns what a consumer with isolation.level=read_committed gets, as a multiset."""
        values = kafka_topic.read_committed(self.address, topic, PARTITIONS, READ_SECONDS)
        return collections.Counter(value.decode() for value in values)

    def open_transactions(self):
        return kafka_topic.open_transactions(self.address)

    def _run(self, verb):
        done = subprocess.run([self._service, verb], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{self._service} {verb}: {done.stderr[-1000:]}"
