"""Faults of processes: kill -9 and SIGSTOP."""

import contextlib
import os
import signal
import time

from faults.fault import Fault, Unavailable

# Of the time after which a process that is silent counts as lost: not missed, just not, missed.
_HALTS = (0.3, 0.6, 1.4)


def halt(process, seconds):
    """SIGSTOP for a while. The process may be killed meanwhile."""
    process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        process.send_signal(signal.SIGCONT)


class KillTaskManager(Fault):
    name = "kill -9 of a TaskManager"

    def draw(self, randomness, plan):
        return {"victim": randomness.randrange(plan.task_managers), "pause": randomness.choice((0, 0, randomness.uniform(0, 2)))}

    def do(self, chaos, victim, pause):
        chaos.cluster.restart_task_manager(victim, pause)
        return f"number {victim}, another one {pause:.1f} s later"


class StopTaskManager(Fault):
    """Halts a TaskManager for so long that it is missed, or only just not."""

    name = "SIGSTOP of a TaskManager"

    def draw(self, randomness, plan):
        return {"victim": randomness.randrange(plan.task_managers), "seconds": randomness.choice(_HALTS) * plan.heartbeat_timeout}

    def do(self, chaos, victim, seconds):
        halt(chaos.cluster.task_managers[victim], seconds)
        return f"number {victim} for {seconds:.1f} s"


class _JobProcessFault(Fault):
    """Of the process that a TaskManager has for the job."""

    needs_job_processes = True

    @staticmethod
    def find(chaos, victim):
        found = chaos.cluster.job_processes(victim)
        if not found:
            raise Unavailable(f"TaskManager {victim} has no process for the job")
        return found[0]


class KillJobProcess(_JobProcessFault):
    name = "kill -9 of a job's process"

    def draw(self, randomness, plan):
        return {"victim": randomness.randrange(plan.task_managers)}

    def do(self, chaos, victim):
        pid = self.find(chaos, victim)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return f"TaskManager {victim}'s"


class StopJobProcess(_JobProcessFault):
    name = "SIGSTOP of a job's process"

    def draw(self, randomness, plan):
        return {"victim": randomness.randrange(plan.task_managers), "seconds": randomness.choice(_HALTS) * plan.heartbeat_timeout}

    def do(self, chaos, victim, seconds):
        pid = self.find(chaos, victim)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(pid, signal.SIGCONT)
        return f"TaskManager {victim}'s for {seconds:.1f} s"


class KillJobManager(Fault):
    """The one that leads. One alone comes back to its own folder; where there is a standby, that one takes over, sooner or later than
    the killed one is back."""

    name = "kill -9 of the JobManager"

    def draw(self, randomness, plan):
        return {"pause": randomness.choice((0, 0, randomness.uniform(0, 2 * plan.lease)))}

    def do(self, chaos, pause):
        name = chaos.cluster.restart_job_manager(pause)
        return f"{name}, back {pause:.1f} s later"


class StopJobManager(Fault):
    """Halts the JobManager that leads; for the longest time a standby leads when it wakes."""

    name = "SIGSTOP of the JobManager"

    def draw(self, randomness, plan):
        return {"seconds": randomness.choice(_HALTS) * max(plan.heartbeat_timeout, plan.lease)}

    def do(self, chaos, seconds):
        leader = chaos.cluster.leader()
        halt(leader.process, seconds)
        return f"{leader.name} for {seconds:.1f} s"


class KillAll(Fault):
    """As if the power failed: every process of the cluster at once."""

    name = "kill -9 of all processes"

    def draw(self, randomness, plan):
        return {"pause": randomness.uniform(0, 1)}

    def do(self, chaos, pause):
        chaos.cluster.restart_all(pause)
        return f"back {pause:.1f} s later"
