"""Faults of the file system: full, slow, damaged files."""

import contextlib
import os
import random
import shutil
import subprocess
import time

from faults.fault import Fault, Unavailable


class FillDisk(Fault):
    """Leaves no room on the file system that holds checkpoints, output, working files and what the JobManager keeps."""

    name = "full disk"

    def draw(self, randomness, plan):
        return {"seconds": randomness.uniform(0.5, 3)}

    def do(self, chaos, seconds):
        if not chaos.disk.is_own:
            raise Unavailable("no right to mount a file system of its own")
        ballast = chaos.disk.folder / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            size = shutil.disk_usage(chaos.disk.folder).free
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(1, size - (1 << 20)))
            with contextlib.suppress(OSError):
                file.seek(0, os.SEEK_END)
                while file.write(b"\0" * 4096):
                    pass
        time.sleep(seconds)
        ballast.unlink()
        return f"for {seconds:.1f} s"


class SlowDisk(Fault):
    """Lets the file system write only now and then."""

    name = "slow disk"

    def draw(self, randomness, plan):
        return {"seconds": randomness.uniform(1, 4), "frozen_seconds": randomness.choice((0.1, 0.4, 1.0))}

    def do(self, chaos, seconds, frozen_seconds):
        if not chaos.disk.can_freeze:
            raise Unavailable("no right to mount a file system that can be frozen")
        end = time.monotonic() + seconds
        times = 0
        while time.monotonic() < end:
            subprocess.run(["fsfreeze", "--freeze", chaos.disk.folder], check=True)
            try:
                time.sleep(frozen_seconds)
            finally:
                subprocess.run(["fsfreeze", "--unfreeze", chaos.disk.folder], check=True)
            times += 1
            time.sleep(0.05)
        return f"halted {times} times for {frozen_seconds} s"


def damage(path, seed):
    """Flips a bit of a file, truncates or removes it; returns which. Other names of the file (hard links) stay good."""
    randomness = random.Random(seed)
    content = bytearray(path.read_bytes())
    size = len(content)
    kind = randomness.choice(("flip", "truncate", "remove")) if size > 0 else "remove"
    if kind == "remove":
        path.unlink()
        return "removed"
    if kind == "truncate":
        length = randomness.randrange(size)
        del content[length:]
        how = f"cut to {length} of {size} bytes"
    else:
        position = randomness.randrange(size)
        content[position] ^= 1 << randomness.randrange(8)
        how = f"with a bit flipped in byte {position} of {size}"
    damaged = path.with_name(f".damaged-{path.name}")
    damaged.write_bytes(content)
    damaged.rename(path)
    return how


class _Damage(Fault):
    """Damages a file, then makes the job need it."""

    def draw(self, randomness, plan):
        return {"which": randomness.random(), "seed": randomness.randrange(1 << 20), "victim": randomness.randrange(plan.task_managers)}

    def do(self, chaos, which, seed, victim):
        try:
            files = self.files(chaos)
            if not files:
                raise Unavailable("there are no such files yet")
            path = files[int(which * len(files))]
            how = damage(path, seed)
        except FileNotFoundError:
            raise Unavailable("the file went just now") from None
        except OSError as error:
            raise Unavailable(f"the file cannot be written: {error.strerror}") from None
        chaos.cluster.restart_task_manager(victim, 0)
        return f"{path.relative_to(chaos.cluster.folder)} {how}, then TaskManager {victim} killed"

    def files(self, chaos):
        raise NotImplementedError


class DamageCheckpoint(_Damage):
    """A file that only the newest checkpoint refers to."""

    name = "damaged checkpoint"
    repeats_output = True

    def files(self, chaos):
        found = sorted((path.stat().st_mtime, path)
                       for path in (chaos.cluster.folder / "checkpoints" / chaos.job).glob("chk-*/_metadata"))
        if len(found) < 2:
            return []
        metadata, older = found[-1][1], found[-2][0]
        # What an older checkpoint refers to is older than its metadata: it stays good.
        return [metadata] + sorted(path for path in metadata.parents[1].rglob("*")
                                   if path.is_file() and path.name != "_metadata" and path.stat().st_mtime > older)


class DamageLocalState(_Damage):
    """A copy that local recovery keeps: what is missing or wrong is fetched from the checkpoint, so nothing is repeated."""

    name = "damaged local state"
    needs_local_recovery = True

    def files(self, chaos):
        return sorted(path for path in (chaos.cluster.folder / "tmp").glob("*/jobs/*/state/*") if path.is_file())
