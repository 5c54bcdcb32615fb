"""The ordeal of chains: a site moves them on, and its processes and machines are killed."""

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psutil
from django.urls import reverse
from django.utils import timezone

from evaluations.chains import services
from evaluations.chains.models import Chain
from jobs.models import Job, Status
from tests.chaos.browser import Browser
from tests.chaos.chains import truth
from tests.chaos.chains.ground import Ground
from tests.chaos.ordeal import AGES_AFTER, age_starts
from tests.chaos.yard import ALL, OF_WORKERS, WATCHER, WEB, WORKERS, Yard
from tests.sshd import end

# What is killed in turns, each as often. A machine is this one with the whole site, the one behind
# SSH with its sshd, or the program of a run alone.
MACHINE = "machine"
TURNS = (WEB, WORKERS, WATCHER, MACHINE)
HERE, BOX, PROGRAM = "this machine", "box", "a program"
LOOKS_WITHIN = 5.0  # seconds for what a kill waits for
ENDS_WITHIN = 300.0
ACTS_EVERY = 0.5
LONG_AGO = 3600.0

T = TypeVar("T")


class ChainOrdeal:
    def __init__(
        self, yard: Yard, ground: Ground, seed: int, kills: int,
        say: Callable[[str], None] = print, patient: bool = False,
    ) -> None:  # fmt: skip
        """``patient``: what was killed is missed in the platform's own time."""
        self.yard, self.ground, self.say, self.patient = yard, ground, say, patient
        self.chance = random.Random(seed)
        self.turns = [TURNS[number % len(TURNS)] for number in range(kills)]
        self.chance.shuffle(self.turns)
        self.browser = Browser(ground.user, f"http://127.0.0.1:{yard.port}")
        self.chains: list[Chain] = []
        self.kept = truth.Kept()
        self.killed: Counter[str] = Counter()
        self.claims: dict[tuple[int, datetime | None], float] = {}

    def run(self) -> list[str]:
        """All of it; what is not as it should be, in sentences."""
        self.yard.start()
        for number, turn in enumerate(self.turns, 1):
            self.until(self.is_under_way, ENDS_WITHIN)
            waits = self.chance.choice([self.new_job, self.starting, self.moving, self.step_done])
            came = self.until(waits(), LOOKS_WITHIN)
            with suppress(subprocess.TimeoutExpired):
                assert self.yard.up
                self.yard.up.wait(self.chance.uniform(0, 0.4))
            what = self.kill(turn)
            after = f"{waits.__name__.replace('_', ' ')}{'' if came else ', which did not come'}"
            self.say(f"kill {number}: {what} (after {after})")
        if not self.until(self.is_over, ENDS_WITHIN):
            return [f"chain {self.chain} has not ended: {truth.told(self.chain)}"]
        self.yard.stop()
        self.say(self.told())
        found = [fault for chain in self.chains for fault in truth.faults(chain, self)]
        return [*found, *truth.needless(self.kept)]

    @property
    def chain(self) -> Chain:
        """The one that is under way, as it stands."""
        self.chains[-1].refresh_from_db()
        return self.chains[-1]

    def until(self, true: Callable[[], bool], within: float) -> bool:
        """Whether it came true, while whatever a user would do is done."""
        until, next_at = time.monotonic() + within, 0.0
        while (now := time.monotonic()) < until:
            if now >= next_at:
                self.go_on()
                next_at = time.monotonic() + ACTS_EVERY
            if true():
                return True
            with suppress(subprocess.TimeoutExpired):
                assert self.yard.up
                self.yard.up.wait(0.05)
        return False

    def go_on(self) -> None:
        """What a user does: start the site again, and resume a chain that has failed. One whose
        machine was lost goes on by itself."""
        if not self.yard.up or self.yard.up.poll() is not None:
            self.yard.start()
        if self.chains and self.chain.state == Chain.State.FAILED:
            self.kept.failed(self.chain)
            self.browser.post(reverse("evaluations:chain_verb", args=[self.chain.pk, "resume"]))
        if not self.patient:
            self.age()

    def age(self) -> None:
        """What was killed is missed after 15 s, a claim or a start after some minutes: let that
        time be over."""
        age_starts(self.yard)
        for job in Job.objects.active().select_related("machine"):
            beat = Path(job.run_dir, "heartbeat")
            if (job.pk, job.attempt) in self.kept.killed and beat.exists() and not runs_of(job):
                beat.write_text(f"{time.time() - LONG_AGO}\n")
        held = Chain.objects.exclude(claimed_until=None).values_list("pk", "claimed_until")
        now = time.monotonic()
        self.claims = {claim: self.claims.get(claim, now) for claim in held}
        for (pk, until), since in self.claims.items():
            if now > since + AGES_AFTER:
                claimed = Chain.objects.filter(pk=pk, claimed_until=until)
                claimed.update(claimed_until=timezone.now())

    # Moments.

    def is_under_way(self) -> bool:
        """A chain runs; where the last one is done, another is started."""
        if not self.chains or self.chain.state == Chain.State.COMPLETED:
            self.chains.append(services.start(self.ground.recipe, self.ground.user))
        return self.chain.is_running

    def is_over(self) -> bool:
        return self.chain.state == Chain.State.COMPLETED

    def new_job(self) -> Callable[[], bool]:
        before = Job.objects.count()
        return lambda: Job.objects.count() > before

    def starting(self) -> Callable[[], bool]:
        return Job.objects.filter(status=Status.STARTING).exists

    def moving(self) -> Callable[[], bool]:
        """A worker moves a chain on."""
        return Chain.objects.exclude(claimed_until=None).exists

    def step_done(self) -> Callable[[], bool]:
        before = self.chain.parts.exclude(done_at=None).count()
        return lambda: self.chain.parts.exclude(done_at=None).count() > before

    # Kills.

    def kill(self, turn: str) -> str:
        """Returns what was killed."""
        if turn == WORKERS:
            turn = self.chance.choice([WORKERS, OF_WORKERS])
        if turn == MACHINE:
            return self.kill_machine()
        found = self.some(self.yard.victims()[turn])
        self.kept.look(self.chain)
        self.yard.kill(turn, [self.chance.choice(found)])
        self.killed[turn] += 1
        return turn

    def some(self, look: Callable[[], Sequence[T]]) -> Sequence[T]:
        """What there is to be killed, once there is something."""
        found = list[T]()

        def is_there() -> bool:
            found[:] = look()
            return bool(found)

        assert self.until(is_there, ENDS_WITHIN), "nothing came that could be killed"
        return found

    def kill_machine(self) -> str:
        """One on which a run is."""

        def running() -> list[Job]:
            self.is_under_way()
            active = Job.objects.filter(status__in=[Status.STARTING, Status.RUNNING])
            return [job for job in active.select_related("machine") if runs_of(job)]

        jobs = self.some(running)
        job = self.chance.choice(jobs)
        what = self.chance.choice([PROGRAM, HERE if job.machine.is_local else BOX])
        self.kept.look(self.chain)
        gone = [job] if what == PROGRAM else [each for each in jobs if each.machine == job.machine]
        self.kept.kill(gone)
        if what == HERE:
            self.yard.kill(ALL, self.yard.own())
        if what == BOX:
            self.ground.sshd.stop()
        end(
            [
                process
                for each in gone
                for process in (programs_of(each) if what == PROGRAM else runs_of(each))
            ]
        )
        if what == BOX:
            self.ground.sshd.start()
        self.killed[what] += 1
        return f"{what}, on which {', '.join(f'job {each.pk}' for each in gone)} ran"

    def told(self) -> str:
        """Counts, for whoever reads of it."""
        killed = ", ".join(f"{name} {count}" for name, count in sorted(self.killed.items()))
        jobs = [part.job for chain in self.chains for part in chain.parts.select_related("job")]
        attempts = [job.attempt for job in jobs if job]
        return (
            f"{sum(self.killed.values())} kills ({killed}), {self.yard.starts} starts of the site; "
            f"{len(self.chains)} chains of {len(attempts)} jobs in {sum(attempts)} attempts, "
            f"{len(self.kept.failures)} times failed and resumed."
        )


def runs_of(job: Job) -> list[psutil.Process]:
    """All processes of a run: its wrapper, and what that has started."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = process.cmdline()
            is_wrapper = "trainyard_node.run" in line and job.run_dir in line
            if is_wrapper or process.environ().get("TRAINYARD_RUN_DIR") == job.run_dir:
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


def programs_of(job: Job) -> list[psutil.Process]:
    """Those without the wrapper."""
    return [each for each in runs_of(job) if "trainyard_node.run" not in each.cmdline()]
