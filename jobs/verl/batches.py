"""Check that batches, devices and heads divide: verl checks it only after loading the model."""

from collections.abc import Iterator
from math import isqrt

from jobs.verl.algorithms import is_rl
from jobs.verl.knobs import number, value_of
from jobs.verl.spec import Problem, TrainSpec


def check_batches(spec: TrainSpec) -> Iterator[Problem]:
    """Batch sizes that verl would refuse or split unevenly."""
    ranks, sequence = number(spec, "gpus"), number(spec, "sequence_parallel")
    if sequence > 1 and ranks % sequence:
        yield from _divides("sequence_parallel", ranks, sequence, "sequence parallelism")
        return
    if is_rl(spec.kind):
        yield from _check_rl_batches(spec, ranks, ranks // sequence)
    else:
        yield from _check_supervised(spec, ranks // sequence)


def _check_supervised(spec: TrainSpec, replicas: int) -> Iterator[Problem]:
    batch = number(spec, "train_batch_size")
    yield from _divides("train_batch_size", batch, replicas, "devices")
    if batch % replicas == 0 and not value_of(spec, "dynamic_batch"):
        micro = number(spec, "micro_batch_size")
        yield from _divides("micro_batch_size", batch // replicas, micro, "a micro batch")


def _check_rl_batches(spec: TrainSpec, ranks: int, replicas: int) -> Iterator[Problem]:
    batch, mini = number(spec, "train_batch_size"), number(spec, "mini_batch_size")
    answers = mini * number(spec, "rollout_n")
    yield from _divides("mini_batch_size", batch, mini, "a mini batch")
    yield from _divides("rollout_n", answers, replicas, "devices")
    if answers % replicas == 0 and not value_of(spec, "dynamic_batch"):
        for field in ("micro_batch_size", "critic_micro_batch_size"):
            if value_of(spec, field) is not None:
                micro = number(spec, field)
                yield from _divides(field, answers // replicas, micro, "a micro batch")
    parallel = number(spec, "tensor_parallel")
    yield from _divides("tensor_parallel", ranks, parallel, "tensor parallelism")


def check_heads(spec: TrainSpec, heads: int | None) -> Iterator[Problem]:
    """Attention heads that the GPUs cannot share evenly."""
    for field, what in (
        ("tensor_parallel", "tensor parallelism"),
        ("sequence_parallel", "sequence parallelism"),
    ):
        if heads and value_of(spec, field) is not None:
            parts = number(spec, field)
            if heads % parts:
                fits = ", ".join(str(n) for n in divisors(heads))
                message = f"The model has {heads} attention heads, which {what} of {parts} does"
                yield Problem(field, f"{message} not divide: {fits} do.")


def _divides(field: str, whole: int, part: int, what: str) -> Iterator[Problem]:
    if part and whole % part == 0:
        return
    near = sorted(sorted(divisors(whole), key=lambda n: abs(n - part))[:3])
    words = ", ".join(str(n) for n in near)
    wrong = f"{whole} does not divide by {part} ({what})"
    yield Problem(field, f"{wrong}: the nearest that do are {words}.")


def divisors(whole: int) -> list[int]:
    small = [n for n in range(1, isqrt(whole) + 1) if whole % n == 0]
    return sorted({*small, *(whole // n for n in small)})
