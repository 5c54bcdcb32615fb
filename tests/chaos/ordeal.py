"""The ordeal: runs train, users ask for things, and something is killed again and again."""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Sum
from django.utils import timezone

from jobs.models import ENDED, Job, Status
from monitoring.watch.life import NEVER_STARTED
from tests.chaos import truth
from tests.chaos.stories import Cast, Ground, main_stories, short_story
from tests.chaos.yard import LAUNCH, STARTER, Yard
from tests.waiting import eventually

SHORT_EVERY = 3  # kills; then one more run is submitted
LOOKS_WITHIN = 2.0  # seconds for what a kill waits for: it may be that nobody is there to do it
CUT_EVERY = 5  # kills; then the sessions of the sshd are cut as well
ENDS_WITHIN = 400.0
AGES_AFTER = 8.0  # seconds


class Ordeal:
    def __init__(
        self, yard: Yard, grounds: Sequence[Ground], user: User, seed: int, kills: int,
        say: Callable[[str], None] = print, patient: bool = False,
    ) -> None:  # fmt: skip
        """``patient``: what a killed worker left undone is asked for again in its own time."""
        self.yard, self.kills, self.say, self.patient = yard, kills, say, patient
        self.chance = random.Random(seed)
        self.casts = [Cast(ground, user, f"http://127.0.0.1:{yard.port}") for ground in grounds]
        self.cuts = 0

    def run(self) -> list[str]:
        """All of it; what is not as it should be, in sentences."""
        for cast in self.casts:
            for story in main_stories(self.kills):
                cast.submit(story)
        self.yard.start()
        eventually(self.all_run, 60, "the runs to train")
        for number in range(self.kills):
            self.one_kill(number)
        return self.settle()

    def all_run(self) -> bool:
        jobs = [cast.job(story) for cast in self.casts for story in cast.stories]
        return all(job.status == Status.RUNNING and job.step for job in jobs)

    def one_kill(self, number: int) -> None:
        if len(self.yard.programs()) < 2:
            if self.yard.up and self.yard.up.poll() is None:
                self.yard.up.kill()
                self.yard.up.wait(10)
            self.yard.start()
        if number % SHORT_EVERY == 0:
            cast = self.chance.choice(self.casts)
            cast.submit(short_story(self.chance))
        self.cut_lines(number)
        self.go_on()
        waits = self.chance.choice([self.progress, self.starting, self.pausing])
        what = waits.__name__
        came = self.wait(waits())
        with suppress(subprocess.TimeoutExpired):
            assert self.yard.up
            self.yard.up.wait(self.chance.uniform(0, 0.4))
        name = self.yard.kill_one(self.chance)
        self.say(
            f"kill {number + 1}: {name} (after {what}{'' if came else ', which did not come'})"
        )

    def cut_lines(self, number: int) -> None:
        for cast in self.casts:
            if cast.ground.sshd and number % CUT_EVERY == CUT_EVERY - 1:
                cast.ground.sshd.cut()
                self.cuts += 1

    def wait(self, true: Callable[[], bool]) -> bool:
        with suppress(AssertionError):
            return eventually(true, LOOKS_WITHIN)
        return False

    def progress(self) -> Callable[[], bool]:
        """The watcher has read on."""
        before = steps_seen()
        return lambda: steps_seen() > before

    def starting(self) -> Callable[[], bool]:
        """A run is in the middle of its start."""
        return lambda: Job.objects.filter(status=Status.STARTING).exists()

    def pausing(self) -> Callable[[], bool]:
        """Something was asked of a run, and it has not ended yet."""
        asked = Job.objects.active()
        return lambda: (
            asked.exclude(pause_asked_at=None).exists()
            or asked.exclude(stop_asked_at=None).exists()
        )

    def settle(self) -> list[str]:
        """Start everything again and let every run come to its end."""
        self.yard.start()
        until = time.monotonic() + ENDS_WITHIN
        while time.monotonic() < until and not self.asked_all():
            self.yard.start()
            self.go_on()
            time.sleep(0.2)
        for cast in self.casts:
            cast.ground.go.touch()
        while time.monotonic() < until and not self.all_ended():
            self.go_on()
            time.sleep(0.2)
        for cast in self.casts:
            for story in cast.stories:
                job = cast.job(story)
                self.say(f"job {job.pk} {story.name} on {job.machine}: {job.status}. {job.reason}")
        self.yard.stop()
        self.say(self.told())
        return [fault for cast in self.casts for fault in truth.faults(cast)]

    def told(self) -> str:
        """Counts, for whoever reads of it."""
        killed = ", ".join(f"{name} {count}" for name, count in self.yard.killed.items())
        jobs = [cast.job(story) for cast in self.casts for story in cast.stories]
        ends = Counter(job.status for job in jobs)
        ended = ", ".join(f"{name} {count}" for name, count in sorted(ends.items()))
        return (
            f"{self.kills} kills ({killed}), {self.cuts} cuts of the line, {self.yard.starts} "
            f"starts; {len(jobs)} runs in {sum(job.attempt for job in jobs)} attempts: {ended}."
        )

    def asked_all(self) -> bool:
        return not any(story.asks for cast in self.casts for story in cast.stories)

    def all_ended(self) -> bool:
        return not Job.objects.exclude(status__in=ENDED).exists()

    def go_on(self) -> None:
        for cast in self.casts:
            cast.go_on()
        if not self.patient:
            self.age()

    def age(self) -> None:
        """What a killed worker left undone is asked for again, or given up, after one or two
        minutes: let them be over after some seconds, and for a start only where no launcher is
        left that could still do it."""
        now = timezone.now()
        held, old = Job.objects.active(), now - timedelta(seconds=AGES_AFTER)
        long_ago = now - timedelta(seconds=NEVER_STARTED + 1)
        held.filter(stop_asked_at__lt=old).update(stop_asked_at=long_ago)
        held.filter(pause_asked_at__lt=old).update(pause_asked_at=long_ago)
        age_starts(self.yard)


def age_starts(yard: Yard) -> None:
    """Let starts be overdue that nobody is left to do."""
    now = timezone.now()
    if not yard.victims()[LAUNCH]() and not yard.victims()[STARTER]():
        unstarted = Job.objects.filter(
            status=Status.STARTING, started_at__lt=now - timedelta(seconds=AGES_AFTER)
        )
        unstarted.update(started_at=now - timedelta(seconds=NEVER_STARTED + 1))


def steps_seen() -> int:
    return int(Job.objects.aggregate(all=Sum("step"))["all"] or 0)
