"""Keep a few programs running, and end them together."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings

from platform_site.running.lifeline import tie_to

LONGEST_WAIT = 30.0
SETTLED = 60.0  # seconds; a program that ran longer has a new fault, so its waits start over
GRACE = 10.0


@dataclass(frozen=True)
class Program:
    name: str
    argv: Sequence[str]


class Supervisor:
    """Start each program in its own process group, so that Ctrl-C reaches only the supervisor."""

    def __init__(self, programs: Sequence[Program], say: Callable[[str, str], None]) -> None:
        self.programs, self.say = programs, say
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self.stopping.set)
        async with asyncio.TaskGroup() as group:
            for program in self.programs:
                group.create_task(self.keep(program))

    async def keep(self, program: Program) -> None:
        """Run a program, and restart it whenever it ends, after ever longer waits."""
        wait = 1.0
        while not self.stopping.is_set():
            began = time.monotonic()
            process = await start(program)
            await first_of(process.wait(), self.stopping.wait())
            if self.stopping.is_set():
                await end(process)
                return
            wait = 1.0 if time.monotonic() - began > SETTLED else min(wait * 2, LONGEST_WAIT)
            code = process.returncode
            self.say("restart", f"{program.name} ended with code {code}; again in {wait:.0f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), wait)


async def start(program: Program) -> asyncio.subprocess.Process:
    """Start a program. It gets SIGTERM when the supervisor is killed outright."""
    return await asyncio.create_subprocess_exec(
        *program.argv,
        cwd=settings.BASE_DIR,
        process_group=0,
        preexec_fn=tie_to(os.getpid(), signal.SIGTERM),
    )


async def first_of(*waits: object) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def end(process: asyncio.subprocess.Process) -> None:
    """Send SIGTERM to the program, which ends its own processes; after GRACE, SIGKILL to all.

    If all workers got SIGTERM at once, they would wait for each other for ever.
    """
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), GRACE)
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
