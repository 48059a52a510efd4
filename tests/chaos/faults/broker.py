"""Faults of the Kafka broker."""

import os
import signal
import time

from faults.fault import Fault


class KillBroker(Fault):
    name = "kill -9 of the Kafka broker"
    needs_kafka = True

    def draw(self, randomness, plan):
        return {"pause": randomness.uniform(0, 2)}

    def do(self, chaos, pause):
        begin = time.monotonic()
        chaos.broker.restart(pause)
        return f"back after {time.monotonic() - begin:.1f} s"


class StopBroker(Fault):
    name = "SIGSTOP of the Kafka broker"
    needs_kafka = True

    def draw(self, randomness, plan):
        return {"seconds": randomness.choice((0.3, 1, 3))}

    def do(self, chaos, seconds):
        with chaos.broker.lock:  # Not while it is restarted.
            pid = chaos.broker.pid()
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)
        return f"for {seconds:.1f} s"
