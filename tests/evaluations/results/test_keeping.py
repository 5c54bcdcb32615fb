"""What an evaluation found is kept from its run's files, whatever these hold."""

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from datasets.models import Version
from evaluations.kinds.evaluate import SCORES, EvaluateSpec
from evaluations.models import Evaluation
from evaluations.results.keeping import keep
from evaluations.results.listening import Keeper
from jobs import listeners, measured
from jobs.models import Status
from tests import factories
from tests.evaluations.made import evaluated, line, result

pytestmark = pytest.mark.django_db


def test_what_is_kept(user: User) -> None:
    run = factories.make_job(user)
    spec = EvaluateSpec(model="/models/tiny", of_job=run.pk, of_step=20)
    job = evaluated(user, [line(n, [n % 2, 1]) for n in range(10)], spec=spec)
    found = keep(job)
    assert found is not None
    assert (found.way, found.model, found.set_name) == ("answers", "/models/tiny", "sums@1")
    assert (found.prompts, found.samples) == (10, 2)
    assert found.metrics["eval/score/mean"] == 0.5  # as its run says
    low, high = found.intervals["eval/score/mean"]
    assert low < 0.75 < high
    assert found.rows is not None
    assert found.rows.texts[3] == "How much is 3 + 3?"
    assert str(found) == "Evaluation of tiny"


def test_kept_twice_is_one_row(user: User) -> None:
    job = evaluated(user, [line(1, [1.0]), line(2, [0.0])])
    first, second = keep(job), keep(job)
    assert first == second
    assert Evaluation.objects.count() == 1


def test_the_run_has_the_figures_in_its_series(user: User) -> None:
    run = factories.make_job(user)
    spec = EvaluateSpec(model="/models/tiny", of_job=run.pk, of_step=20)
    keep(evaluated(user, [line(1, [1.0]), line(2, [0.0])], spec=spec))
    name = "eval/sums@1:bbbbbb-aaaaaa/score/mean"
    assert name in measured.names_of([run.pk], 100)
    found = measured.at_steps({run.pk: [20]}, [name])
    assert found[run.pk][20][name] == 0.5


def test_a_checkpoint_says_whose_it_is(user: User) -> None:
    run = factories.make_job(user, status=Status.COMPLETED)
    factories.keep_checkpoints(run, {7: 5})
    (saved,) = run.artifacts.all()
    job = evaluated(user, [line(1, [1.0])])
    job.inputs.create(artifact=saved, role="checkpoint")
    found = keep(job)
    assert found is not None
    assert (found.artifact, found.of_job, found.of_step) == (saved, run, 7)
    assert found.subject == f"{run.name}, step 7"


NO_RESULTS = (
    b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b"{" + b" " * 2**20 + b"}",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_RESULTS)
def test_a_result_that_is_none_is_kept_with_the_reason(user: User, text: bytes) -> None:
    found = keep(evaluated(user, [], told=text))
    assert found is not None
    assert found.fault
    assert found.scores is None
    assert not Keeper().overdue()


def test_hostile_figures_are_left_out(user: User) -> None:
    text = (
        b'{"metrics": {"eval/a": NaN, "eval/b": 1e400, "eval/c": "1", "eval/d": true, '
        b'"eval/e": 0.25, "": 1, "eval/\\u0000n": 2, "\\ud800": 3}, "counts": {"prompts": -1, '
        b'"answers": 1e3, "failed_scores": 2}, "evaluator": {"digest": "../..", "way": "\\u0000", '
        b'"x": {"y": [1, 2]}, "z": null}, "set": 5, "left_out": ["a", 3, "", null], "seconds": []}'
    )
    found = keep(evaluated(user, [], told=text))
    assert found is not None
    found.refresh_from_db()
    assert found.metrics["eval/e"] == 0.25
    assert not {"eval/a", "eval/b", "eval/c", "eval/d", ""} & set(found.metrics)
    assert found.counts == {"failed_scores": 2}
    assert found.evaluator_digest == ""
    assert "\0" not in json.dumps([found.metrics, found.evaluator])
    assert found.left_out == ["a"]


def test_hostile_lines_are_left_out_and_counted(user: User) -> None:
    good = json.dumps(line(1, [1.0, None])).encode()
    lines = [
        good, b"", b"null", b"[1]", b'{"prompt": 5}', b'{"prompt": "zz", "scores": [1]}', b"\0\0",
        b'{"prompt": "00000000000000ff", "scores": [NaN, 1e400, "x", true, {}], "text": "\\u0000"}',
        b'{"prompt": "00000000000000fe", "scores": "none"}', b"[" * 5000,
        b'{"prompt": "00000000000000fd", "scores": ' + b"[" * 5000, b'{"prompt": "0000',
    ]  # fmt: skip
    found = keep(evaluated(user, b"\n".join(lines)))
    assert found is not None
    assert found.prompts == 3
    assert "Lines of scores that cannot be read: 8." in found.left_out
    assert found.rows is not None
    assert found.rows.values[0, :2].tolist()[0] == 1.0
    assert np.isnan(found.rows.values[1]).tolist() == [True, True, True, False, True]
    assert "\0" not in found.rows.texts[1]


def test_the_scores_of_100_000_answers_are_read_in_bounded_memory(user: User) -> None:
    text = b"".join(b'{"prompt": "%016x", "scores": [%d, 0.5, 0, 1], "text": "%s"}\n'
                    % (n, n % 2, b"x" * 150) for n in range(25_000))  # fmt: skip
    job = evaluated(user, text)
    tracemalloc.start()
    found = keep(job)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is not None
    assert (found.prompts, found.samples) == (25_000, 4)
    assert peak < 60 * 2**20


def test_without_scores_the_figures_stand_alone(user: User) -> None:
    job = evaluated(user, [line(1, [1.0])])
    (Path(job.run_dir) / SCORES).unlink()
    found = keep(job)
    assert found is not None
    assert found.metrics == {"eval/score/mean": 0.5}
    assert found.intervals == {}
    assert found.prompts == 3  # as its run counts


def test_the_bounds_of_a_perplexity_are_those_of_its_loss(user: User) -> None:
    rows = [{"prompt": f"{n:016x}", "nll": 2.0 + n % 3, "tokens": 2} for n in range(30)]
    told = result(metrics={"eval/loss": 1.5, "eval/perplexity": math.exp(1.5)})
    found = keep(evaluated(user, rows, told=told, spec=EvaluateSpec(model="/m", way="loss")))
    assert found is not None
    low, high = found.intervals["eval/loss"]
    assert low < 1.5 < high
    assert found.intervals["eval/perplexity"] == [math.exp(low), math.exp(high)]


def test_one_that_has_not_completed_is_not_kept(user: User) -> None:
    assert keep(evaluated(user, [], status=Status.RUNNING)) is None


def test_it_is_kept_by_who_listens_to_ends(user: User) -> None:
    job = evaluated(user, [line(1, [1.0])], ended_at="2026-01-01T00:00Z")
    assert listeners.want_completed(job)
    assert not listeners.want_completed(factories.make_job(user))
    assert job.pk in listeners.overdue()
    listeners.completed(job)
    assert job.pk not in listeners.overdue()


def test_it_goes_with_its_job(user: User) -> None:
    job = evaluated(user, [line(1, [1.0])])
    keep(job)
    job.delete()
    assert not Evaluation.objects.exists()


def test_where_the_prompts_differ(user: User) -> None:
    keep(evaluated(user, [line(1, [1.0])], told=result(set={"digest": "c" * 64, "name": "x"})))
    assert Evaluation.objects.get().group == ("c" * 64, "a" * 64)


@pytest.mark.parametrize(
    ("part", "limit", "name"),
    [
        ("val", None, "sums@1"),
        ("val", 5, "sums@1, first 5"),
        ("train", None, "sums@1, training part"),
    ],
)
def test_the_site_says_what_was_asked(
    user: User, version: Version, part: str, limit: int | None, name: str
) -> None:
    version.val_file = "/elsewhere/val.parquet"
    version.save()
    file = version.train_file if part == "train" else version.val_file
    spec = EvaluateSpec(model="/m", files=[file], limit=limit)
    told = result(set={"name": "val.parquet", "digest": "b" * 64})
    found = keep(evaluated(user, [line(1, [1.0])], told, spec, dataset_version=version))
    assert found is not None
    assert found.set_name == name


@pytest.mark.parametrize("other", [{"evaluator": {"digest": "e" * 64}},
                                   {"set": {"name": "sums@1", "digest": "f" * 64}}])  # fmt: skip
def test_other_prompts_and_another_evaluator_have_series_of_their_own(
    user: User, other: dict[str, Any]
) -> None:
    run = factories.make_job(user)
    spec = EvaluateSpec(model="/m", of_job=run.pk, of_step=20)
    for told, score in ((result(), 0.25), (result(**other), 0.75)):
        keep(evaluated(user, [], told | {"metrics": {"eval/score/mean": score}}, spec))
    names = measured.names_of([run.pk], 100)
    assert len(names) == 2
    assert {*measured.at_steps({run.pk: [20]}, names)[run.pk][20].values()} == {0.25, 0.75}


def test_what_no_database_keeps_is_left_out(user: User) -> None:
    told = result(counts={"prompts": 2**40, "answers": 3},
                  metrics={f"eval/{'x' * 190}": 1.0, "eval/a": 2.0})  # fmt: skip
    run = factories.make_job(user)
    spec = EvaluateSpec(model="/m", of_job=run.pk, of_step=1)
    rows = [line(1, [1e300]), line(2, [-1e300]), line(3, [1e300])]
    found = keep(evaluated(user, rows, told, spec))
    assert found is not None
    assert not found.fault
    assert found.counts == {"answers": 3}
    assert "Infinity" not in json.dumps([found.intervals, found.metrics])
    assert "NaN" not in json.dumps([found.intervals, found.metrics])
    assert max(map(len, measured.names_of([run.pk], 100))) == 200


def test_what_fails_on_the_way_is_kept_as_a_fault_and_not_tried_for_ever(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("it does not like it")

    monkeypatch.setattr("evaluations.results.keeping.measured.note", fail)
    run = factories.make_job(user)
    spec = EvaluateSpec(model="/m", of_job=run.pk, of_step=1)
    found = keep(evaluated(user, [line(1, [1.0])], spec=spec))
    assert found is not None
    assert found.fault == "What the evaluation found cannot be kept: RuntimeError."
    assert found.metrics == {}
    assert not Keeper().overdue()


def test_a_row_is_kept_with_the_figures_of_its_run_or_not_at_all(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise OperationalError("the database went away")

    monkeypatch.setattr("evaluations.results.keeping.measured.note", die)
    run = factories.make_job(user)
    spec = EvaluateSpec(model="/m", of_job=run.pk, of_step=1)
    job = evaluated(user, [line(1, [1.0])], spec=spec, ended_at="2026-01-01T00:00Z")
    with pytest.raises(OperationalError):
        keep(job)
    assert Keeper().overdue() == [job.pk]


def test_an_adapter_is_not_what_it_lies_on(user: User) -> None:
    run = factories.make_job(user, status=Status.COMPLETED)
    factories.keep_checkpoints(run, {7: 5})
    (saved,) = run.artifacts.all()
    spec = EvaluateSpec(model="/runs/global_step_7", adapter="/adapters/mine", of_job=run.pk,
                        of_step=7)  # fmt: skip
    job = evaluated(user, [line(1, [1.0])], spec=spec)
    job.inputs.create(artifact=saved, role="checkpoint")
    found = keep(job)
    assert found is not None
    assert (found.artifact, found.of_job, found.of_step) == (None, None, None)
    assert found.subject == "mine on global_step_7"
    assert measured.names_of([run.pk], 100) == []
