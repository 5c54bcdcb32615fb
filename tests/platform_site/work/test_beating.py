"""Signs of life: they come while the work goes on, and nothing of them is left after it."""

import threading

import pytest
from django.db import OperationalError

from platform_site.work.beating import beating
from tests.waiting import eventually


def test_it_beats_while_the_work_goes_on_and_no_longer() -> None:
    before, beats = threading.enumerate(), []
    with beating(lambda: beats.append(1), 0.001):
        eventually(lambda: len(beats) > 2)
        assert threading.enumerate() != before
    assert threading.enumerate() == before


def test_it_ends_at_once_with_work_that_fails() -> None:
    before = threading.enumerate()

    def fail() -> None:
        with beating(lambda: None, 3600):
            raise RuntimeError("the disk")

    with pytest.raises(RuntimeError, match="the disk"):
        fail()
    assert threading.enumerate() == before


@pytest.mark.django_db
def test_it_goes_on_after_the_database_was_lost_for_a_moment() -> None:
    beats: list[int] = []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 1:
            raise OperationalError("the database is locked")

    with beating(beat, 0.001):
        eventually(lambda: len(beats) > 2)
