"""Files over SSH on the loopback address: a gigabyte against the ``sftp`` command, which takes
turns with the runner at going first, and the short reads that the watcher lives on.

The runner's time includes the SHA-256 on the far side and the sync to its disk; ``sftp`` does
neither.
"""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from compute.runners.base import Stretch
from compute.runners.ssh.connection import close_all
from compute.runners.ssh.runner import SshRunner
from tests.bench.home import percentile
from tests.e2e.site import Site
from tests.sshd import Sshd, account, far_trainer

MEGABYTES = 1000
TURNS = 4
STRETCHES = 60
READS = 200


def measure(site: Site) -> dict[str, float]:
    of = account()
    folder = of.folder()
    try:
        with Sshd(of) as server:
            (folder / "far").mkdir()
            python = far_trainer(of, folder / "far").python
            runner = SshRunner(server.address(), python, str(folder))
            return sending(server, runner, folder) | reading(runner, folder)
    finally:
        close_all()
        shutil.rmtree(folder)


def sending(server: Sshd, runner: SshRunner, folder: Path) -> dict[str, float]:
    source = folder / "gigabyte"
    source.write_bytes(os.urandom(1 << 20) * MEGABYTES)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    def ours(put: bool) -> float:
        began = time.monotonic()
        if put:
            there = Path(runner.put(source, digest, ignore))
        else:
            there = folder / "back"
            runner.get(str(source), there, ignore)
        took = time.monotonic() - began
        there.unlink()
        return took

    def theirs(put: bool) -> float:
        there = folder / "there"
        word = "put" if put else "get"
        argv = [*sftp(server, folder), f"{server.account.name}@127.0.0.1"]
        began = time.monotonic()
        subprocess.run(
            argv, input=f"{word} {source} {there}".encode(), capture_output=True, check=True
        )
        took = time.monotonic() - began
        there.unlink()
        return took

    sent, brought = turns(ours, theirs, True), turns(ours, theirs, False)
    return {
        "sent by sftp: median [MB/s]": MEGABYTES / sent[1],
        "sent by the runner: median [MB/s]": MEGABYTES / sent[0],
        "sent: speed of the runner / of sftp": sent[1] / sent[0],
        "brought by sftp: median [MB/s]": MEGABYTES / brought[1],
        "brought by the runner: median [MB/s]": MEGABYTES / brought[0],
        "brought: speed of the runner / of sftp": brought[1] / brought[0],
    }


def turns(
    ours: Callable[[bool], float], theirs: Callable[[bool], float], put: bool
) -> tuple[float, float]:
    """Median seconds of both ways."""
    took: dict[Callable[[bool], float], list[float]] = {ours: [], theirs: []}
    for turn in range(TURNS):
        for way in sorted(took, key=lambda way: (way is ours) == bool(turn % 2)):
            took[way].append(way(put))
    return median(took[ours]), median(took[theirs])


def sftp(server: Sshd, folder: Path) -> list[str]:
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.host_key()}\n")
    options = ["-o", f"UserKnownHostsFile={known}", "-o", f"Port={server.port}"]
    return ["sftp", "-q", "-b", "-", "-i", str(server.folder / "login"), *options]


def reading(runner: SshRunner, folder: Path) -> dict[str, float]:
    logs = [folder / f"log-{number}" for number in range(STRETCHES)]
    for log in logs:
        log.write_bytes(b"a line of a log\n" * 1000)
    stretches = [Stretch(str(log), 8000, 8000) for log in logs]
    took = []
    used = time.process_time()
    for _ in range(READS):
        began = time.monotonic()
        runner.read_many(stretches)
        took.append((time.monotonic() - began) * 1000)
    used = (time.process_time() - used) / READS * 1000
    return {
        f"{STRETCHES} stretches of 8 KB in one read: median [ms]": median(took),
        f"{STRETCHES} stretches of 8 KB in one read: 95th percentile [ms]": percentile(took, 0.95),
        f"{STRETCHES} stretches of 8 KB in one read: this process [ms]": used,
    }


def ignore(done: int, total: int) -> None:
    pass
