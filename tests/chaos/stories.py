"""What each run is to go through, what is asked of it meanwhile, and how it must end."""

import json
import random
import uuid as uuids
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from compute.models import Machine
from jobs.launch import submit as submitting
from jobs.models import Job, Status
from tests import factories
from tests.chaos.browser import Browser
from tests.fakes import FakeTrainer
from tests.sshd import Sshd

PACE = 0.15  # seconds a step
GPUS = 7


@dataclass(frozen=True)
class Ground:
    """A machine, what trains on it, and what a run there reads."""

    machine: Machine
    trainer: FakeTrainer
    data: Path
    model: str
    sshd: Sshd | None = None

    @property
    def go(self) -> Path:
        """Once it is there, runs hurry to their end."""
        return self.trainer.folder / "until"

    @property
    def starts(self) -> Path:
        return self.trainer.folder / "starts"


@dataclass
class Story:
    """One run: ``plan`` for the trainer, ``asks`` in their order with the step each waits for."""

    name: str
    end: Status
    plan: dict[str, Any]
    asks: list[tuple[str, int]] = field(default_factory=list)
    exit_code: int | None = 0
    attempts: int = 1
    uuid: uuids.UUID = field(default_factory=uuids.uuid4)

    @property
    def steps(self) -> int:
        return int(self.plan["steps"])


def main_stories(kills: int) -> list[Story]:
    """Five that train through all of the kills, which come every second or two."""
    steps, early = 60 * kills + 200, 2 * kills + 10
    plan = {"steps": steps, "pause": PACE, "saves": True}
    return [
        Story("straight", Status.COMPLETED, plan),
        Story("fails", Status.FAILED, plan | {"exit": 7}, exit_code=7),
        Story("is stopped", Status.STOPPED, plan, [("stop", early * 4)], exit_code=143),
        Story("pauses", Status.COMPLETED, plan, [("pause", early), ("resume", 0)]),
        Story(
            "pauses twice",
            Status.COMPLETED,
            plan,
            [("pause", early * 2), ("resume", 0), ("save", 0), ("pause", early * 4), ("resume", 0)],
        ),
    ]


def short_story(chance: random.Random) -> Story:
    """One that comes and goes meanwhile."""
    plan = {"steps": chance.randint(5, 30), "pause": 0.05, "until": ""}
    ways = [
        Story("short", Status.COMPLETED, plan),
        Story("crashes", Status.FAILED, plan | {"crash_at": 3}, exit_code=1),
        Story("short", Status.STOPPED, plan | {"steps": 10_000}, [("stop", 1)], exit_code=143),
    ]
    return chance.choice(ways)


class Cast:
    """The stories of one ground, and the user who tells them."""

    def __init__(self, ground: Ground, user: User, url: str) -> None:
        self.ground, self.user = ground, user
        self.browser = Browser(user, url)
        self.stories: list[Story] = []

    def submit(self, story: Story) -> Job:
        self.stories.append(story)
        self.tell_trainer()
        spec = factories.sft_spec(
            train_files=str(self.ground.data), val_files=str(self.ground.data),
            model_path=self.ground.model, device="cuda", gpus=1,
        )  # fmt: skip
        order = factories.make_order(
            self.user, name=story.name, spec=spec, steps=story.steps,
            machine=self.ground.machine, uuid=story.uuid,
        )  # fmt: skip
        return submitting.submit(order, start=True)

    def tell_trainer(self) -> None:
        usual = {"starts": str(self.ground.starts), "until": str(self.ground.go)}
        runs = {str(story.uuid): usual | story.plan for story in self.stories}
        for plan in runs.values():
            if not plan["until"]:
                del plan["until"]
        part = self.ground.trainer.folder / "plan.part"
        part.write_text(json.dumps({"runs": runs}))
        part.replace(self.ground.trainer.folder / "plan.json")

    def job(self, story: Story) -> Job:
        return Job.objects.select_related("machine").get(uuid=story.uuid)

    def go_on(self) -> None:
        """Ask what is due, through the web as a browser does; what gets no answer is asked again
        unless the job shows that it arrived."""
        for story in self.stories:
            if not story.asks:
                continue
            (what, step), job = story.asks[0], self.job(story)
            if job.has_ended:
                story.asks.clear()  # the end is judged by itself
            elif ARRIVED[what](job, story):
                story.asks.pop(0)
                story.attempts = job.attempt
            elif DUE[what](job) and job.step >= step:
                self.browser.post(f"/jobs/{job.pk}/{what}/")
                if what == "save":
                    story.asks.pop(0)


# Whether a request may be made now, and whether it is seen to have arrived.
DUE: dict[str, Callable[[Job], bool]] = {
    "stop": lambda job: job.can_stop and job.is_active,
    "pause": lambda job: job.can_pause,
    "save": lambda job: job.status == Status.RUNNING,
    "resume": lambda job: job.status == Status.PAUSED,
}
ARRIVED: dict[str, Callable[[Job, Story], bool]] = {
    "stop": lambda job, _: job.stop_asked_at is not None,
    "pause": lambda job, _: job.pause_asked_at is not None or job.status == Status.PAUSED,
    "save": lambda *_: False,  # one that is lost is lost: nothing shows it
    "resume": lambda job, story: job.attempt > story.attempts,
}


def make_ssh_ground(place: Any, server: Sshd, data: Path) -> Ground:
    address = server.address()
    machine = factories.make_ssh_machine(
        host=address.host, port=address.port, user=address.login.user, host_key=address.host_key,
        workdir=str(place.workdir), python=place.trainer.python, gpus=GPUS,
    )  # fmt: skip
    secret = {"name": "private_key", "value": address.login.private_key, "set_at": timezone.now()}
    machine.secrets.create(**secret)
    model = factories.make_model_folder(place.folder("model"))
    return Ground(machine, place.trainer, data, str(model), server)
