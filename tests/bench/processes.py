"""What processes cost: CPU time and peak resident memory, read from /proc."""

import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids):
    """User and system time of the processes so far; of the processes alone, not of children they waited for."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def resident_mebibytes(pid, field="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def peak_mebibytes(pid):
    return resident_mebibytes(pid, "VmHWM")


def forget_peak(pid):
    """Makes the peak start again from what is resident now."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def num_threads(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/task").iterdir()))


def children_of(pid):
    """The processes that `pid` has started, if they live."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split() if folder.name.isdigit() else ["Z", "0"]
        except OSError:
            continue
        if fields[1] == str(pid) and fields[0] != "Z":
            found.append(int(folder.name))
    return found
