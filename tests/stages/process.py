"""A stage while it runs: a process of its own, whose output is kept in a file."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.stages.plan import ROOT, Stage

ENDS_WITHIN = 30.0  # seconds, in which pytest ends what its tests have started
NOTHING_CHOSEN = 5  # pytest's exit code


def environment(stage: Stage, home: Path) -> dict[str, str]:
    """Ours, and the stage's own. Byte code is always kept: else each of the thousand processes that
    the tests start compiles the whole house anew, which costs it 0.5 s.
    """
    ours = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, **stage.env, "TRAINYARD_HOME": str(home)}


class Running:
    """``chosen`` are arguments for pytest. They may choose no test of this stage."""

    def __init__(self, stage: Stage, chosen: list[str]) -> None:
        self.stage, self.chosen = stage, chosen
        self.began, self.seconds = time.monotonic(), 0.0
        self.below: list[psutil.Process] = []
        self.folder = Path(tempfile.mkdtemp(prefix="trainyard-stage-"))
        self.output = self.folder / "output"
        (self.folder / "home").mkdir(mode=0o700)
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [*stage.argv, *(chosen if stage.takes_tests else [])],
                env=environment(stage, self.folder / "home"),
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True,  # Ctrl-C reaches it through us only, so once
            )  # fmt: skip

    def has_ended(self) -> bool:
        ended = self.process.poll() is not None
        if ended and not self.seconds:
            self.seconds = time.monotonic() - self.began
        return ended

    @property
    def has_passed(self) -> bool:
        code = self.process.returncode
        return code == 0 or (code == NOTHING_CHOSEN and bool(self.chosen))

    @property
    def minutes(self) -> float:
        return (self.seconds or time.monotonic() - self.began) / 60

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def ask_to_end(self) -> None:
        """Send what Ctrl-C sends: pytest and its processes then clean up after themselves."""
        self.below = self._below()
        if not self.has_ended():
            os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> None:
        """After ``ask_to_end``: wait, then kill what is left of it and of its children."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDS_WITHIN)
        for process in [*self.below, *self._below()]:
            with suppress(psutil.Error):  # a process id that was given out again is left alone
                process.kill()
        self.process.wait()
        self.has_ended()

    def _below(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process.pid)
            return [*found.children(recursive=True), found]
        return []

    def clean_up(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
