"""Which kinds of job there are: Trainyard's own, and those that packages bring."""

from importlib.metadata import EntryPoint

import pytest
from django.core.exceptions import ValidationError

from jobs.kinds.base import USUAL, End
from jobs.kinds.registry import GROUP, OWN, Registry, collect, kind_of, registry
from jobs.models import Job
from jobs.validators import known_kind
from tests.factories import sft_spec

HERE = "tests.jobs.kinds.strangers"


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def with_stranger(value: str) -> Registry:
    return collect(OWN, [entry("stranger", f"{HERE}:{value}"), entry("whole", f"{HERE}:Whole")])


def test_trainyards_own_kinds_come_first() -> None:
    assert [*registry().kinds][:6] == ["sft", "dpo", "ppo", "grpo", "gspo", "export"]
    assert registry().choices()[0] == ("sft", "SFT")
    assert kind_of(sft_spec()).slug == "sft"


def test_a_package_brings_a_kind() -> None:
    found = collect(OWN, [entry("whole", f"{HERE}:Whole")])
    assert found.find("whole").label == "Whole"
    assert found.problems == ()
    assert len(found.kinds) == len(OWN) + 1


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("Gone", "AttributeError: module"),
        ("Raises", "RuntimeError: not today"),
        ("Unfinished", "TypeError: Can't instantiate abstract class"),
        ("NoKind", "TypeError: it is no JobKind"),
        ("Sft", "ValueError: there is a kind sft already"),
        ("Shouting", "ValueError: its slug is 'LOUD Kind'"),
        ("Nameless", "ValueError: it has no label"),
        ("Gauges", "ValueError: its panels are ('log', 'gauges'), which are not some of charts"),
        ("Twice", "ValueError: its panels are ('log', 'log'), which are not some of charts"),
    ],
)
def test_a_package_that_brings_none_is_named_and_left_out(value: str, why: str) -> None:
    found = with_stranger(value)
    (problem,) = found.problems
    assert problem.name == f"stranger = {HERE}:{value}"
    assert problem.why.startswith(f"It brings no kind of job: {why}")
    assert found.find("sft") is OWN[0]
    assert "whole" in found.kinds


def test_a_package_that_cannot_be_imported() -> None:
    found = collect(OWN, [entry("gone", "no.such.package:Kind")])
    assert "ModuleNotFoundError" in found.problems[0].why


def test_of_two_packages_with_one_slug_the_first_by_name_is_kept() -> None:
    found = collect(OWN, [entry("b", f"{HERE}:Whole"), entry("a", f"{HERE}:Whole")])
    assert [problem.name for problem in found.problems] == [f"b = {HERE}:Whole"]


def test_a_kind_whose_package_is_gone_is_shown_and_does_nothing() -> None:
    kind = registry().find("gone")
    spec = kind.read({"some": 1})
    assert (kind.slug, kind.label, kind.panels) == ("gone", "gone", USUAL)
    assert spec.to_json() == {"some": 1}
    assert kind.judge(spec, End(0)).status == "failed"
    assert kind.key_metrics(spec) == ()
    assert "is not installed" in kind.cannot_save(spec)
    with pytest.raises(ValueError, match="There is no kind of job gone"):
        kind.command(spec, None, {})  # type: ignore[arg-type]


def test_a_job_has_a_kind_that_is_known() -> None:
    known_kind("export")
    with pytest.raises(ValidationError, match=r"There is no kind of job juggling\. There are: sft"):
        known_kind("juggling")
    assert not Job._meta.get_field("kind").choices
