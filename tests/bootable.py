"""A remote machine that can be rebooted: an sshd as the first process of its own process space.

When it ends, all processes that it started end too, as without power; files stay, and process ids
start from 1 again.
"""

import os
import shutil
import subprocess
import uuid

import psutil

from tests.sshd import Sshd, end

APART = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_boot() -> bool:
    """Whether this user may create process spaces and mounts here."""
    if os.getuid() != 0 or not shutil.which("unshare"):
        return False
    mount = "mount --bind /dev/null /proc/sys/kernel/random/boot_id"
    tried = subprocess.run([*APART, "sh", "-c", mount], capture_output=True, check=False)
    return tried.returncode == 0


class Bootable(Sshd):
    """``new_kernel``: each boot has a new boot id; without it, the id stays as in a container."""

    new_kernel = True

    def argv(self) -> list[str]:
        served = super().argv()
        if not self.new_kernel:
            return [*APART, *served]
        boot = self.folder / "boot_id"
        boot.write_text(f"{uuid.uuid4()}\n")
        script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        return [*APART, "sh", "-c", script, str(boot), *served]

    def stop(self) -> None:
        """Cut the power."""
        if self._process:
            inside = self.inside()
            self._process.kill()
            self._process.wait()
            self._process = None
            end(inside)

    def inside(self) -> list[psutil.Process]:
        """All processes that run on it, as seen from outside."""
        assert self._process
        return psutil.Process(self._process.pid).children(recursive=True)
