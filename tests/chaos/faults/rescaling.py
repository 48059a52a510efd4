"""A change of the job's parallelism while it runs."""

import cluster as clusters

from faults.fault import Fault, Unavailable


class Rescale(Fault):
    """1 -> 2 -> 4 -> 3 and on from the beginning, by REST or by `weir scale`. Recovery then waits for the new parallelism."""

    name = "rescale"

    def draw(self, randomness, plan):
        return {"parallelism": plan.next_parallelism(), "by_command": randomness.random() < 0.5}

    def do(self, chaos, parallelism, by_command):
        if by_command:
            done = clusters.weir("scale", chaos.job, parallelism, "--rest", chaos.cluster.leader().rest.address, check=None)
            if done.returncode != 0:
                raise Unavailable(f"refused: {done.stderr.strip()[:200]}")
        else:
            self._put(chaos, parallelism)
        chaos.wanted_parallelism = parallelism
        return f"to {parallelism} by {'weir scale' if by_command else 'REST'}"

    @staticmethod
    def _put(chaos, parallelism):
        path = f"/jobs/{chaos.job}/resource-requirements"
        try:
            wanted = chaos.cluster.rest.get(path)
            for vertex in wanted.values():
                vertex["parallelism"] = {"lowerBound": 1, "upperBound": parallelism}
            chaos.cluster.rest.call("PUT", path, wanted)
        except clusters.RestError as error:
            if error.status != 409:
                raise
            raise Unavailable(f"refused: {error.body[:200]}") from None
