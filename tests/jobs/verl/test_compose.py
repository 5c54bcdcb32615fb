"""Every recipe x algorithm x method x release: known keys only, values that fit, or a reason."""

from functools import cache

import pytest

from jobs.verl import lint
from jobs.verl.algorithms import ALGORITHMS, RL
from jobs.verl.overrides import Override, parse
from jobs.verl.recipes import all_recipes
from jobs.verl.releases import BEFORE_09, ENVIRONMENTS, RELEASES, refusal, translate
from jobs.verl.schema import load
from jobs.verl.variants import ESTIMATOR, VARIANTS
from tests.composed import EVERY_KNOB, Case, cases
from tests.together import ask_all

EVERY = list(cases())
read = cache(parse)
FILTER = "algorithm.filter_groups.enable"
FILTER_KNOBS = {"filter_groups", "filter_metric"}


def named(case: Case) -> str:
    return case.name


def is_refused(case: Case) -> bool:
    return case.spec.verl in BEFORE_09 and (case.spec.kind == "dpo" or drops_groups(case))


def drops_groups(case: Case) -> bool:
    variant = VARIANTS.get(case.variant)
    by_method = variant is not None and FILTER in variant.settings
    return by_method or not FILTER_KNOBS.isdisjoint(case.spec.values)


COMPOSED = [case for case in EVERY if not is_refused(case)]
REFUSED = [case for case in EVERY if is_refused(case)]


def test_the_release_has_every_key_and_takes_every_value() -> None:
    assert ask_all(COMPOSED, composes, named) == len(COMPOSED) > 350


def composes(case: Case) -> None:
    schema = load(ENVIRONMENTS, case.spec.kind, case.spec.verl)
    overrides = [read(text) for text in case.overrides]
    problems = [schema.problem(override) for override in overrides]
    assert [problem for problem in problems if problem] == []
    asked = {override.key: override.value for override in overrides}
    assert list(lint.companions(asked, schema)) == []
    assert twice(overrides) == []


def test_what_a_release_cannot_do_is_refused_with_the_reason() -> None:
    assert ask_all(REFUSED, tells_the_reason, named) == len(REFUSED) > 30
    assert len(COMPOSED) + len(REFUSED) == len(EVERY)


def tells_the_reason(case: Case) -> None:
    if case.spec.kind == "dpo":
        assert "verl 0.9's model engine" in str(refusal("dpo", case.spec.verl))
    with pytest.raises(ValueError, match=r"run verl 0\.9\.1"):
        _ = case.overrides


def test_nothing_is_left_out() -> None:
    """The parts of each case are all recipes, kinds, methods and releases that there are."""
    assert {case.recipe for case in EVERY} == {*all_recipes(), EVERY_KNOB}
    assert {case.spec.kind for case in EVERY} == set(ALGORITHMS)
    recipes = [case for case in EVERY if case.recipe != EVERY_KNOB]
    assert {case.variant for case in recipes if case.spec.kind == "grpo"} == set(VARIANTS)
    for kind in ALGORITHMS:
        assert {case.spec.verl for case in EVERY if case.spec.kind == kind} == set(RELEASES)
    assert len({case.name for case in EVERY}) == len(EVERY)


def test_every_method_reaches_each_release_in_its_own_words() -> None:
    for case in EVERY:
        if case.spec.kind in RL and not is_refused(case):
            keys = {read(text).key for text in case.overrides}
            assert translate(ESTIMATOR, case.spec.kind, case.spec.verl).key in keys


def twice(overrides: list[Override]) -> list[str]:
    keys = [override.key for override in overrides]
    return [key for key in keys if keys.count(key) > 1]
