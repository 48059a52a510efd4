"""Unit tests of what a chaos run draws.

    tests/chaos/schedule_test.py [unittest options]
"""

import itertools
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests/e2e"), str(HERE)]

import faults
import schedule


def text_of(seed, number, steps=30, **options):
    plan = schedule.RoundPlan(seed, number, **options)
    return [plan.text()] + [schedule.describe(step) for step in itertools.islice(plan.steps(), steps)]


class ScheduleTest(unittest.TestCase):
    def test_the_seed_fixes_a_round_whatever_came_before_it(self):
        first = [text_of(7, number) for number in (1, 2, 3)]
        self.assertEqual(text_of(7, 3), first[2])
        self.assertEqual([text_of(7, number) for number in (1, 2, 3)], first)
        self.assertNotEqual(text_of(8, 1), first[0])
        self.assertNotEqual(first[0], first[1])

    def test_without_a_broker_all_else_stays_the_same(self):
        for number in range(1, 30):
            with_broker = schedule.RoundPlan(7, number)
            without = schedule.RoundPlan(7, number, kafka=False)
            self.assertEqual(with_broker.job_settings(), without.job_settings())
            for one, other in zip(itertools.islice(with_broker.steps(), 30), without.steps()):
                kept = [event for event in one.events if not event.fault.needs_kafka]
                self.assertEqual([(event.delay, event.fault.name, event.drawn) for event in kept],
                                 [(event.delay, event.fault.name, event.drawn) for event in other.events])

    def test_every_kind_of_round_and_of_fault_comes_up(self):
        rounds = [schedule.RoundPlan(7, number) for number in range(1, 60)]
        for attribute, count in (("parallelism", 4), ("checkpoints", 3), ("scheduler", 2), ("failover", 2), ("standby", 2),
                                 ("local_recovery", 2), ("isolation", 2), ("kafka", 2), ("repeats_allowed", 2)):
            self.assertEqual(len({getattr(one, attribute) for one in rounds}), count, attribute)
        done = {event.fault.name for one in rounds for step in itertools.islice(one.steps(), 20) for event in step.events}
        self.assertEqual(done, {fault.name for fault, _ in faults.ALL})

    def test_faults_that_repeat_output_only_strike_where_that_is_allowed(self):
        for number in range(1, 40):
            plan = schedule.RoundPlan(7, number)
            for step in itertools.islice(plan.steps(), 30):
                names = [event.fault.name for event in step.events]
                self.assertEqual(len(names), len(set(names)), "two of a kind at a time")
                for event in step.events:
                    self.assertTrue(plan.repeats_allowed or not event.fault.repeats_output)
                    self.assertTrue(plan.local_recovery or not event.fault.needs_local_recovery)
                    self.assertTrue(plan.isolation == "process" or not event.fault.needs_job_processes)

    def test_rescales_go_through_1_2_4_3(self):
        plan = schedule.RoundPlan(7, 1, names=("rescale",))
        sequence = [plan.parallelism] + [step.events[0].drawn["parallelism"] for step in itertools.islice(plan.steps(), 8)]
        following = {1: 2, 2: 4, 4: 3, 3: 1}
        self.assertEqual(sequence[1:], [following[parallelism] for parallelism in sequence[:-1]])


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
