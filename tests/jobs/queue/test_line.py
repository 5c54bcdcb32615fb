"""Who is next, as plain functions."""

import pytest

from jobs.queue.line.machine import Room, Waiting, never_fits, next_start, reasons, turn

FOUR = frozenset(range(4))
ADA, BOB = 1, 2


def line(*gpus: int, owner: int = ADA) -> list[Waiting]:
    return [Waiting(number, owner, count) for number, count in enumerate(gpus, 1)]


@pytest.mark.parametrize(
    ("gpus", "leased", "started"),
    [
        ((2, 1), {1}, (1, (0, 2))),
        ((4, 1), {0}, (2, (1,))),  # the small one starts while the large one waits
        ((4, 4), {0}, None),
        ((0, 1), {0, 1, 2, 3}, (1, ())),
        ((), set(), None),
    ],
)
def test_the_first_that_fits_gets_the_lowest_devices(
    gpus: tuple[int, ...], leased: set[int], started: tuple[int, tuple[int, ...]] | None
) -> None:
    found = next_start(line(*gpus), Room(FOUR, frozenset(leased)))
    assert (found and (found[0].id, found[1])) == started


def test_slots_are_for_the_cpu_and_devices_for_gpus() -> None:
    assert next_start(line(0), Room(FOUR, slots=1, busy=1)) is None
    assert next_start(line(1), Room(FOUR, slots=1, busy=1)) == (Waiting(1, ADA, 1), (0,))


def test_what_is_held_or_waits_for_another_is_passed_over() -> None:
    jobs = [Waiting(1, ADA, held="Held."), Waiting(2, ADA, after="After."), Waiting(3, ADA)]
    found = next_start(jobs, Room())
    assert found is not None
    assert found[0].id == 3


def test_gpus_that_are_not_known_are_given_to_nobody() -> None:
    assert next_start(line(1), Room(None)) is None
    assert never_fits(8, Room(None)) == ""


def test_a_device_that_has_gone_stays_with_who_has_it() -> None:
    room = Room(frozenset({0, 1}), leased=frozenset({1, 3}))
    assert room.free == [0]


def test_never_fits() -> None:
    assert never_fits(4, Room(FOUR)) == ""
    assert never_fits(5, Room(FOUR)) == (
        "It needs 5 GPUs, and this machine has 4 GPUs: it can never start here."
    )
    assert never_fits(1, Room(frozenset())) == (
        "It needs 1 GPU, and this machine has no GPU: it can never start here."
    )
    assert never_fits(0, Room(frozenset())) == ""


def joined(*owners: int, using: dict[int, int] | None = None, gpus: int = 1) -> list[int]:
    """The owners in line after they joined one by one."""
    jobs: list[Waiting] = []
    for number, owner in enumerate(owners):
        job = Waiting(number, owner, gpus)
        jobs.insert(turn(jobs, job, using or {}), job)
    for owner in set(owners):
        own = [job.id for job in jobs if job.owner == owner]
        assert own == sorted(own)
    return [job.owner for job in jobs]


def test_two_users_take_turns() -> None:
    assert joined(ADA, ADA, ADA, BOB, BOB) == [ADA, BOB, ADA, BOB, ADA]
    assert joined(ADA, ADA, ADA) == [ADA, ADA, ADA]


def test_what_runs_counts_as_a_turn_taken() -> None:
    assert joined(ADA, ADA, BOB, BOB, using={ADA: 2}) == [BOB, BOB, ADA, ADA]


def test_turns_are_counted_in_devices() -> None:
    large = [Waiting(1, ADA, 4), Waiting(2, ADA, 4)]
    for number in (3, 4, 5):
        job = Waiting(number, BOB, 1)
        large.insert(turn(large, job, {}), job)
    assert [job.id for job in large] == [1, 3, 4, 5, 2]


def test_a_user_with_nothing_is_not_held_up_by_a_long_line() -> None:
    assert turn(line(*[1] * 50), Waiting(99, BOB, 1), {ADA: 4}) == 0


def test_an_order_that_people_made_is_kept() -> None:
    jobs = [Waiting(1, ADA), Waiting(2, ADA), Waiting(3, BOB), Waiting(4, BOB)]
    assert turn(jobs, Waiting(5, ADA), {}) == 4
    assert turn(jobs, Waiting(6, 3), {}) == 1


def test_each_can_say_why_it_waits() -> None:
    jobs = [
        Waiting(1, ADA, 4),
        Waiting(2, ADA, 8),
        Waiting(3, ADA, 1, held="Held by root: later."),
        Waiting(4, ADA, 2, after="After job 1, which is queued."),
        Waiting(5, ADA, 3),
        Waiting(6, ADA, 1),
        Waiting(7, ADA),
        Waiting(8, ADA),
    ]
    assert list(reasons(jobs, Room(FOUR, frozenset({0, 3}), slots=2, busy=2))) == [
        "Waits for 4 GPUs; 2 are free.",
        "It needs 8 GPUs, and this machine has 4 GPUs: it can never start here.",
        "Held by root: later.",
        "After job 1, which is queued.",
        "Waits for 3 GPUs; 2 are free; behind 1 job.",
        "About to start.",
        "Waits for 1 CPU slot; 0 of 2 are free.",
        "Waits for 1 CPU slot; 0 of 2 are free; behind 1 job.",
    ]


def test_free_devices_in_words() -> None:
    said = [
        next(iter(reasons(line(2), Room(frozenset({0, 1}), frozenset(leased)))))
        for leased in ((0,), (0, 1))
    ]
    assert said == ["Waits for 2 GPUs; 1 is free.", "Waits for 2 GPUs; none are free."]


def test_unknown_gpus_in_words() -> None:
    [said] = reasons(line(2), Room(None))
    assert said == "The GPUs of this machine are not known yet: it has not been measured."
