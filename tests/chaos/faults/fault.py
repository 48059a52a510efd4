"""The kind of thing that a chaos run does."""


class Unavailable(Exception):
    """This machine, or what the job does just now, does not allow the fault."""


class Fault:
    """Draws what it will do, apart from doing it: so the draws of a run depend on its seed alone."""

    name = ""
    repeats_output = False  # Whether what was committed may be committed again.
    needs_kafka = False
    needs_local_recovery = False
    needs_job_processes = False

    def draw(self, randomness, plan):
        """Returns the arguments for do(). `plan` is the RoundPlan."""
        raise NotImplementedError

    def do(self, chaos, **drawn):
        """Does it to a running Round, from a thread of its own; returns what came of it, as text. Raises Unavailable."""
        raise NotImplementedError
