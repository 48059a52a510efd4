"""Faults of the network: connections that end."""

import contextlib
import ctypes
import os
import pathlib
import re
import socket

from faults.fault import Fault, Unavailable

_LIBC = ctypes.CDLL(None, use_errno=True)
_PIDFD_OPEN = 434
_PIDFD_GETFD = 438


def _system_call(*arguments):
    result = _LIBC.syscall(*arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def tcp_connections(pid):
    """Returns the descriptors of the process's established TCP connections; none once it has ended."""
    established = set()
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for table in ("tcp", "tcp6"):
            for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "01":
                    established.add(fields[9])
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
    except ProcessLookupError:
        return
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


class CutConnections(Fault):
    """Those of one process: between TaskManagers, with the JobManager, with the broker."""

    name = "cut connections"

    def draw(self, randomness, plan):
        return {"whose": randomness.random(), "share": randomness.choice((0, 0, 0.3, 1)), "seed": randomness.randrange(1 << 20)}

    def do(self, chaos, whose, share, seed):
        processes = chaos.cluster.named_processes()
        if chaos.broker is not None:
            with contextlib.suppress(FileNotFoundError):  # It is down just now.
                processes.append(("broker", chaos.broker.pid()))
        name, pid = processes[int(whose * len(processes))]
        connections = tcp_connections(pid)
        if not connections:
            raise Unavailable(f"{name} has none")
        # One at least; by a hash, so that the choice needs no further draw.
        chosen = sorted(connections, key=lambda descriptor: (descriptor + 1) * (2 * seed + 1) % 10_007)
        chosen = chosen[:max(1, round(share * len(connections)))]
        for descriptor in chosen:
            cut_connection(pid, descriptor)
        return f"{len(chosen)} of the {len(connections)} of {name}"
