"""What a chaos run does to a cluster. do(chaos) of a fault returns what it did, as text."""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_PIDFD_OPEN = 434
_PIDFD_GETFD = 438


class Unavailable(Exception):
    """This machine does not allow the fault."""


def _system_call(*arguments):
    result = _LIBC.syscall(*arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def tcp_connections(pid):
    """Returns the descriptors of the process's established TCP connections."""
    established = set()
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "01":
            established.add(fields[9])
    found = []
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry))
            if match and match.group(1) in established:
                found.append(int(entry.name))
    return sorted(found)


def cut_connection(pid, descriptor):
    """Shuts a connection of another process down, so that both its ends see it closed."""
    try:
        process = _system_call(_PIDFD_OPEN, pid, 0)
    except OSError as error:
        raise Unavailable(f"no pidfd_open: {error.strerror}") from None
    try:
        with socket.socket(fileno=_system_call(_PIDFD_GETFD, process, descriptor, 0)) as connection:
            connection.shutdown(socket.SHUT_RDWR)
    except PermissionError as error:
        raise Unavailable(f"no pidfd_getfd: {error.strerror}") from None
    except OSError:
        pass  # It has ended meanwhile.
    finally:
        os.close(process)


class Fault:
    name = ""
    repeats_output = False  # Whether what was committed may be committed again.


class KillTaskManager(Fault):
    name = "kill -9 of a TaskManager"

    def do(self, chaos):
        victim = chaos.randomness.randrange(len(chaos.cluster.task_managers))
        pause = chaos.randomness.choice((0, 0, chaos.randomness.uniform(0, 2)))
        chaos.cluster.kill_task_manager(victim)
        time.sleep(pause)
        chaos.cluster.start_task_manager()
        return f"number {victim}, another one {pause:.1f} s later"


class StopTaskManager(Fault):
    """Halts a TaskManager for so long that it is missed, or only just not."""

    name = "SIGSTOP of a TaskManager"

    def do(self, chaos):
        victim = chaos.randomness.randrange(len(chaos.cluster.task_managers))
        seconds = chaos.randomness.choice((0.3, 0.6, 1.4)) * chaos.heartbeat_timeout
        process = chaos.cluster.task_managers[victim]
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        return f"number {victim} for {seconds:.1f} s"


class StopJobManager(Fault):
    name = "SIGSTOP of the JobManager"

    def do(self, chaos):
        seconds = chaos.randomness.choice((0.3, 0.6, 1.4)) * chaos.heartbeat_timeout
        chaos.cluster.job_manager.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        chaos.cluster.job_manager.send_signal(signal.SIGCONT)
        return f"for {seconds:.1f} s"


class CutConnection(Fault):
    """Between TaskManagers, or between one and the JobManager."""

    name = "cut connections"

    def do(self, chaos):
        victim = chaos.randomness.randrange(len(chaos.cluster.task_managers))
        pid = chaos.cluster.task_managers[victim].pid
        connections = tcp_connections(pid)
        count = min(len(connections), chaos.randomness.choice((1, 1, 2, 99)))
        for descriptor in chaos.randomness.sample(connections, count):
            cut_connection(pid, descriptor)
        return f"{count} of TaskManager {victim}'s {len(connections)}"


class FillDisk(Fault):
    """Leaves no room on the file system that holds checkpoints, output and working files."""

    name = "full disk"

    def do(self, chaos):
        if not chaos.disk.is_own:
            raise Unavailable("no right to mount a file system of its own")
        seconds = chaos.randomness.uniform(0.5, 3)
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

    def do(self, chaos):
        if not chaos.disk.can_freeze:
            raise Unavailable("no right to mount a file system that can be frozen")
        end = time.monotonic() + chaos.randomness.uniform(1, 4)
        frozen_seconds = chaos.randomness.choice((0.1, 0.4, 1.0))
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


class DamageCheckpoint(Fault):
    """Damages a file that only the newest checkpoint refers to, then makes the job need it."""

    name = "damaged checkpoint"
    repeats_output = True

    def do(self, chaos):
        newest = self._newest(chaos)
        if newest is None:
            return "there was no checkpoint"
        metadata, older = newest
        # What an older checkpoint refers to is older than its metadata: it stays good.
        files = [metadata] + [path for path in metadata.parents[1].rglob("*")
                              if path.is_file() and path.name != "_metadata" and path.stat().st_mtime > older]
        victim = chaos.randomness.choice(files)
        how = self._damage(chaos.randomness, victim)
        chaos.cluster.kill_task_manager(chaos.randomness.randrange(len(chaos.cluster.task_managers)))
        chaos.cluster.start_task_manager()
        return f"{victim.relative_to(metadata.parents[1])} of {metadata.parent.name} {how}, then a TaskManager killed"

    @staticmethod
    def _newest(chaos):
        """The newest checkpoint's metadata and when the one before was written; None if there are not two."""
        found = sorted((path.stat().st_mtime, path) for path in (chaos.cluster.folder / "checkpoints" / chaos.job).glob("chk-*/_metadata"))
        return (found[-1][1], found[-2][0]) if len(found) > 1 else None

    @staticmethod
    def _damage(randomness, path):
        size = path.stat().st_size
        kind = randomness.choice(("flip", "truncate", "remove")) if size > 0 else "remove"
        if kind == "remove":
            path.unlink()
            return "removed"
        if kind == "truncate":
            length = randomness.randrange(size)
            os.truncate(path, length)
            return f"cut to {length} of {size} bytes"
        position = randomness.randrange(size)
        with open(path, "r+b", buffering=0) as file:
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ 1 << randomness.randrange(8)]))
        return f"with a bit flipped in byte {position} of {size}"


# With their weights.
ALL = ((KillTaskManager(), 6), (StopTaskManager(), 2), (StopJobManager(), 1), (CutConnection(), 4), (FillDisk(), 1), (SlowDisk(), 1),
       (DamageCheckpoint(), 2))
