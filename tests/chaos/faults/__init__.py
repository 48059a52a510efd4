"""What a chaos run does to a cluster: ALL has every fault with its weight."""

from faults import broker, disk, network, process, rescaling
from faults.fault import Fault, Unavailable

ALL = ((process.KillTaskManager(), 6), (process.StopTaskManager(), 2), (process.KillJobProcess(), 3), (process.StopJobProcess(), 1),
       (process.KillJobManager(), 4), (process.StopJobManager(), 2), (process.KillAll(), 1),
       (network.CutConnections(), 5), (disk.FillDisk(), 1), (disk.SlowDisk(), 1), (disk.DamageCheckpoint(), 2),
       (disk.DamageLocalState(), 2), (rescaling.Rescale(), 4), (broker.KillBroker(), 1), (broker.StopBroker(), 2))

__all__ = ["ALL", "Fault", "Unavailable"]
