"""The disk of a chaos run: a file system of its own, small and such that it can be halted, where this machine allows it."""

import pathlib
import subprocess
import tempfile

MEBIBYTES = 1536


class Disk:
    """A context manager. `folder` is there in any case; `is_own` says whether it is a file system of its own, which can be
    filled without harm to others, `can_freeze` whether fsfreeze works on it."""

    def __enter__(self):
        self._temporary = tempfile.TemporaryDirectory(prefix="weir-chaos-")
        top = pathlib.Path(self._temporary.name)
        self.folder = top / "disk"
        self.folder.mkdir()
        image = top / "image"
        with open(image, "wb") as file:
            file.truncate(MEBIBYTES << 20)
        self.can_freeze = _works("mkfs.ext4", "-q", image) and _works("mount", "-o", "loop", image, self.folder)
        if self.can_freeze and not (_works("fsfreeze", "--freeze", self.folder) and _works("fsfreeze", "--unfreeze", self.folder)):
            self.can_freeze = False
            _works("umount", self.folder)
        self.is_own = self.can_freeze or _works("mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "tmpfs", self.folder)
        return self

    def __exit__(self, kind, value, trace):
        if self.is_own:
            _works("umount", "--lazy", self.folder)
        self._temporary.cleanup()


def _works(*command):
    try:
        return subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
