"""What a chaos run does, drawn from its seed alone.

Nothing here looks at a cluster or a clock: a seed and the number of a round give the same job, settings and faults each time. How far
the job has come when a fault strikes is another matter.
"""

import collections
import itertools
import random

import faults

PIPELINES = ("broadcast", "counts", "edges", "timers", "two-inputs", "windows")
_PARALLELISM = (1, 2, 4, 3)  # In the order of rescales.
_CHECKPOINTS = {
    "aligned": {},
    "unaligned": {"execution.checkpointing.unaligned.enabled": "true"},
    "aligned for 100 ms": {"execution.checkpointing.unaligned.enabled": "true",
                           "execution.checkpointing.aligned-checkpoint-timeout": "100 ms"},
}

# A fault with what it has drawn, some time after the step has begun.
Event = collections.namedtuple("Event", "delay fault drawn")
# Events that strike together, a pause after the job has got over those before.
Step = collections.namedtuple("Step", "number pause events")


class RoundPlan:
    """One job, its cluster, and steps() of faults.

    names: parts of the names of the faults to do, all if there are none. Another choice of names is another plan; a broker that is
    not there only leaves out what needs it.
    """

    task_managers = 3
    slots = 2
    heartbeat_timeout = 2.0  # Seconds, as all times here.
    lease = 2.0

    def __init__(self, seed, number, *, kafka=True, names=(), pause=1.5):
        self._seed = f"{seed}/{number}"
        self.number = number
        self._longest_pause = pause
        randomness = random.Random(self._seed)
        self.pipelines = sorted(randomness.sample(PIPELINES, randomness.randint(1, 3)))
        self.wants_kafka = randomness.random() < 0.6
        self.kafka = self.wants_kafka and kafka
        if self.kafka:
            self.pipelines.append("kafka")
        self.parallelism = randomness.choice(_PARALLELISM)
        self.memory = randomness.choice(("16 mb", "64 mb", "1 gb"))
        self.keys = randomness.choice((10, 1000, 50_000))
        self.data_seed = randomness.randrange(1 << 20)
        self.seconds = randomness.uniform(40, 60)
        self.standby = randomness.random() < 0.5
        self.interval_ms = randomness.choice((100, 200, 500))
        self.checkpoints = randomness.choice(tuple(_CHECKPOINTS))
        self.local_recovery = randomness.random() < 0.5
        self.failover = randomness.choice(("region", "region", "full"))
        self.scheduler = randomness.choice(("default", "default", "adaptive"))

        self.isolation = randomness.choice(("process", "process", "none"))

        # A job that falls back behind a checkpoint whose results were committed commits them again: no sink can take them back.
        self.repeats_allowed = randomness.random() < 0.25
        self._faults = [(fault, weight) for fault, weight in faults.ALL if self._is_possible(fault, names)]
        self._next_parallelism = _PARALLELISM.index(self.parallelism)

    def _is_possible(self, fault, names):
        return ((not names or any(name in fault.name for name in names))
                and (self.repeats_allowed or not fault.repeats_output)
                and (self.wants_kafka or not fault.needs_kafka)
                and (self.local_recovery or not fault.needs_local_recovery)
                and (self.isolation == "process" or not fault.needs_job_processes))

    def job_settings(self):
        return {"execution.checkpointing.interval": f"{self.interval_ms} ms", "execution.checkpointing.num-retained": "4",
                "execution.state-recovery.from-local": str(self.local_recovery).lower(),
                "jobmanager.execution.failover-strategy": self.failover, "jobmanager.scheduler": self.scheduler,
                **_CHECKPOINTS[self.checkpoints]}

    def cluster_settings(self):
        return {"heartbeat.timeout": f"{int(self.heartbeat_timeout * 1000)} ms", "heartbeat.interval": "400 ms",
                "high-availability.leader-election.lease-duration": f"{int(self.lease * 1000)} ms",
                "high-availability.leader-election.retry-period": "200 ms",
                # Little in flight, so that barriers get through slow pipelines.
                "taskmanager.network.channel-bytes": "16 kb", "taskmanager.network.memory.buffer-debloat.target": "200 ms",
                # Budgets are small so that state leaves memory, not to end processes.
                "taskmanager.memory.size": self.memory, "taskmanager.isolation.process.memory-limit": "0",
                "taskmanager.isolation": self.isolation,
                "jobmanager.reconciliation.timeout": f"{int(self.heartbeat_timeout * 1000)} ms",
                "restart-strategy.exponential-delay.max-backoff": "1 s",
                "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout": "500 ms",
                "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout": "1 s",
                "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling": "0 s"}

    def text(self):
        return (f"round {self.number}: {', '.join(self.pipelines)}; parallelism {self.parallelism}, {self.keys} keys, "
                f"{self.seconds:.0f} s; checkpoints {self.checkpoints}, every {self.interval_ms} ms; memory {self.memory}, local recovery "
                f"{'on' if self.local_recovery else 'off'}, failover {self.failover}, scheduler {self.scheduler}, isolation "
                f"{self.isolation}, JobManager {'with a standby' if self.standby else 'alone'}"
                + ("; checkpoints get damaged" if self.repeats_allowed else ""))

    def next_parallelism(self):
        """For a rescale that is drawn: 1 -> 2 -> 4 -> 3 -> 1, from where the job begins."""
        self._next_parallelism = (self._next_parallelism + 1) % len(_PARALLELISM)
        return _PARALLELISM[self._next_parallelism]

    def steps(self):
        """Yields steps without end. To be called once."""
        assert self._faults, "no fault is called so"
        for number in itertools.count(1):
            randomness = random.Random(f"{self._seed}/{number}")
            pause = randomness.uniform(0, self._longest_pause)
            [count] = randomness.choices((1, 2, 3), weights=(5, 3, 1))
            events = []
            for place, fault in enumerate(self._draw_faults(randomness, count)):
                delay = randomness.uniform(0, 1) if place > 0 else 0.0
                event = Event(delay, fault, fault.draw(randomness, self))
                if self.kafka or not fault.needs_kafka:
                    events.append(event)
            yield Step(number, pause, events)

    def _draw_faults(self, randomness, count):
        """Different ones, so that no two fill one disk at a time."""
        left = list(self._faults)
        while left and count > 0:
            [chosen] = randomness.choices(range(len(left)), weights=[weight for _, weight in left])
            yield left.pop(chosen)[0]
            count -= 1


def describe(step):
    """Returns a step as text, with all that was drawn."""
    def text(value):
        return f"{value:.2f}" if isinstance(value, float) else str(value)
    return f"{step.number:4}: after {step.pause:.2f} s " + " | ".join(
        f"+{event.delay:.2f} s {event.fault.name} " + " ".join(f"{key}={text(value)}" for key, value in event.drawn.items())
        for event in step.events)
