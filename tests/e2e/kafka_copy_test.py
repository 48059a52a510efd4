"""kafka_copy, exactly once: a read_committed consumer sees each record once, whatever is killed (-9).

    WEIR_TEST_BIN=build/release/bin tests/support/with_kafka python3 tests/e2e/kafka_copy_test.py [--seed S] [--rounds N]

Each round copies a topic of numbers to a topic of its own, while TaskManagers die at random moments and, in one of them, the
broker too. At the end a job is cancelled while it writes, and another after all TaskManagers died in the midst of that: neither may leave a
transaction open.
"""

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import time

from cluster import Cluster, library_of, wait_until
from kafka_topic import TopicWriter, brokers_or_skip, create_topic, limit_consumers, open_transactions, read_committed

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--records", type=int, default=300_000)
parser.add_argument("--kills", type=int, default=3, help="in each round")
parser.add_argument("--rounds", type=int, default=1)
parser.add_argument("--rate", type=int, default=1_000_000, help="bytes a second from the broker, for time to kill")
parser.add_argument("--seed", type=int, default=None, help="of the kills' moments; else random")
FROM = "numbers"
PARTITIONS = 4
SETTINGS = {"execution.checkpointing.interval": "500ms", "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "1000", "restart-strategy.fixed-delay.delay": "200ms"}


def service(*arguments):
    subprocess.run([os.environ["KAFKA_SERVICE"], *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def check(brokers, topic, expected):
    actual = collections.Counter(int(value) for value in read_committed(brokers, topic, PARTITIONS))
    wrong = {number: count for number, count in actual.items() if count != 1}
    missing = expected - len(actual)
    assert not missing and not wrong, (
        f"{missing} records missing, {len(wrong)} too often, like {list(wrong.items())[:5]}")
    print(f"  {len(actual)} records in {topic}, each once", flush=True)


def kill_often(cluster, job, options, randomness, kill_broker):
    rest = cluster.rest
    begin = time.monotonic()
    for number in range(1, options.kills + 1):
        rest.wait_for_state(job, "RUNNING", 120)
        done = rest.completed_checkpoints(job)
        wait_until("a checkpoint of this attempt", lambda done=done: rest.completed_checkpoints(job) > done)
        # Commits are under way just after a checkpoint: most kills should fall there.
        moment = time.monotonic() + randomness.choice([0.02, 0.1, 0.6]) * randomness.random()
        wait_until("the moment", lambda moment=moment: time.monotonic() >= moment)
        state = rest.state(job)
        assert state == "RUNNING", f"the job is {state} before kill {number}: give more --records or a lower --rate"
        if kill_broker and number == 1:
            print(f"{time.monotonic() - begin:6.1f} s: kill of the broker", flush=True)
            service("kill")
            service("start")
        victim = randomness.randrange(len(cluster.task_managers))
        print(f"{time.monotonic() - begin:6.1f} s: kill {number} of TaskManager {victim}", flush=True)
        before = rest.restored(job)
        cluster.kill_task_manager(victim)
        cluster.start_task_manager()
        wait_until("the job has restored", lambda before=before: rest.restored(job) > before, 120)
    rest.wait_for_state(job, "FINISHED", 240)
    print(f"{time.monotonic() - begin:6.1f} s: finished, restored {rest.restored(job)} times", flush=True)


def cancel_while_writing(cluster, brokers, topic):
    """What a cancelled job has begun is ended: nobody waits for it."""
    rest = cluster.rest
    service("topic", topic, str(PARTITIONS))
    job = rest.run(library_of(rest, "kafka_copy"),
                   ["--brokers", brokers, "--topic", FROM, "--to", topic, "--follow"],
                   parallelism=2, entry="kafka_copy", settings=SETTINGS)
    wait_until("checkpoints", lambda: rest.completed_checkpoints(job) > 2)
    rest.cancel(job)
    rest.wait_for_state(job, "CANCELED")
    # A record behind whatever lies there; an open transaction would hide it for minutes.
    with TopicWriter(brokers, topic) as writer:
        for partition in range(PARTITIONS):
            writer.write(b"-1", partition=partition)

    def all_seen():
        return sum(value == b"-1" for value in read_committed(brokers, topic, PARTITIONS)) == PARTITIONS
    wait_until("the records behind the cancelled job's", all_seen, 20)
    print("  no transaction is open after a cancel", flush=True)


def halt_in_a_transaction(cluster, brokers):
    """Halts the TaskManagers if it finds them writing one; else they go on. Returns whether it did."""
    ongoing = ["Ongoing"]
    if not open_transactions(brokers, ongoing):
        return False
    for process in cluster.task_managers:
        process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)  # What was on its way to the broker arrives.
    left = open_transactions(brokers, ongoing)
    if left:
        print(f"  left open: {', '.join(left)}", flush=True)
        return True
    for process in cluster.task_managers:
        process.send_signal(signal.SIGCONT)
    return False


def cancel_after_a_kill(cluster, brokers, topic):
    """What a TaskManager had begun when it died is ended too, although the job is not to go on."""
    rest = cluster.rest
    create_topic(brokers, topic, PARTITIONS)
    job = rest.run(library_of(rest, "kafka_copy"),
                   ["--brokers", brokers, "--topic", FROM, "--to", topic, "--follow"],
                   parallelism=2, entry="kafka_copy", settings=SETTINGS)

    wait_until("checkpoints", lambda: rest.completed_checkpoints(job) > 2)
    deadline = time.monotonic() + 60
    while not halt_in_a_transaction(cluster, brokers):
        assert time.monotonic() < deadline, "never halted in the midst of a transaction"
    for _ in range(2):
        cluster.kill_task_manager(0)
    wait_until("the loss is noticed", lambda: rest.state(job) != "RUNNING")
    rest.cancel(job)
    for _ in range(2):
        cluster.start_task_manager()
    rest.wait_for_state(job, "CANCELED")
    wait_until("no transaction is open", lambda: not open_transactions(brokers), 5)
    print("  no transaction is open after a kill and a cancel", flush=True)


def main():
    options = parser.parse_args()
    brokers = brokers_or_skip()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    randomness = random.Random(seed)
    service("topic", FROM, str(PARTITIONS))
    with TopicWriter(brokers, FROM) as topic:
        for number in range(options.records):
            # Large enough that an epoch does not fit into the checkpoint's metadata.
            topic.write(f"{number:<60}".encode(), partition=number % PARTITIONS)
    limit_consumers(brokers, options.rate)
    # As many slots as subtasks, so that each TaskManager has a part and every kill hurts.
    with Cluster(task_managers=2, slots=1) as cluster:
        for round_number in range(options.rounds):
            to = f"copy-{round_number}"
            service("topic", to, str(PARTITIONS))
            job = cluster.rest.run(
                library_of(cluster.rest, "kafka_copy"), ["--brokers", brokers, "--topic", FROM, "--to", to],
                parallelism=2, entry="kafka_copy", settings=SETTINGS)
            kill_often(cluster, job, options, randomness, kill_broker=round_number == 1)
            check(brokers, to, options.records)
            left = list(cluster.folder.rglob("*.epoch"))
            assert not left, f"files of committed epochs are left: {left}"
        cancel_while_writing(cluster, brokers, "copy-cancelled")
        cancel_after_a_kill(cluster, brokers, "copy-killed")


if __name__ == "__main__":
    sys.exit(main())
