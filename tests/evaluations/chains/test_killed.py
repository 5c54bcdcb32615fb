"""Whoever moves a chain on is killed at any write: it goes on from there, no step twice."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from evaluations.chains import advancing, services
from evaluations.chains.models import Chain
from jobs.models import Job, Status
from tests.evaluations.chains.runs import TWO, ended

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue", "samples"),
]  # fmt: skip
CHAIN = TWO.replace("model: sft", "model: sft, over: {seed: [1, 2]}") + (
    "- {name: best, choose: grpo, by: score, better: higher}\n"
    "- {name: gate, gate: best, metric: score, at_least: 0.1}\n"
    "- {name: small, convert: gate, set: {dtype: bfloat16}}\n"
)
JOBS = {"sft": 1, "grpo": 2, "small": 1}
WRITES = ("INSERT", "UPDATE", "DELETE", "SAVEPOINT", "RELEASE")


class Killed(BaseException):
    """A process that is killed cleans nothing up that an exception would."""


class KilledAt:
    """Ends the process, as the database sees it, at one of its writes."""

    def __init__(self, at: int) -> None:
        self.left, self.is_over = at, False

    def __call__(self, run: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if self.is_over:
            raise Killed  # a process that is killed does not write again
        if sql.startswith(WRITES):
            self.left -= 1
            if self.left == 0:
                self.is_over = True
                raise Killed
        return run(sql, *rest)


def to_its_end(chain: Chain, kill: KilledAt) -> None:
    """Move the chain on, whose jobs complete at once; after the kill another one does so."""
    for _ in range(30):
        try:
            with connection.execute_wrapper(kill) if not kill.is_over else nullcontext():
                advancing.advance(chain.pk)
        except Killed:
            # Nobody waits for the claim of the one that was killed: its time goes by.
            Chain.objects.update(claimed_until=timezone.now())
        chain.refresh_from_db()
        if not chain.is_running:
            return
        for job in Job.objects.filter(status=Status.QUEUED):
            ended(job, score=0.5)


@pytest.mark.parametrize("at", sorted(random.Random(14).sample(range(1, 90), 20)))
def test_it_goes_on_and_does_no_step_twice(user: User, at: int) -> None:
    chain = services.start(CHAIN, user)
    kill = KilledAt(at)
    to_its_end(chain, kill)
    assert chain.state == Chain.State.COMPLETED, chain.reason
    parts = Counter(chain.parts.exclude(asked=None).values_list("step", flat=True))
    assert parts == JOBS
    assert Job.objects.count() == sum(JOBS.values())
    assert set(Job.objects.values_list("status", flat=True)) == {Status.COMPLETED}
    assert set(chain.parts.values_list("attempt", flat=True)) == {1}
    assert kill.is_over or at > 60
