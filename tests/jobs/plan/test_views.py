"""The plan of a job: from its form, and back into it."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from compute.sizing.learning import Correction, Factor
from jobs.models import Job
from jobs.order.forms import form_data
from jobs.verl.recipes import all_recipes
from platform_site.bounded.limits import Limits
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods

URL = "/jobs/new/grpo/plan/"
FILLED = "/jobs/new/grpo/filled/"
H100 = {"plan-gpu": "h100-80g", "plan-gpus": "8", "plan-goal": "fastest"}

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def filled(user: User, model: str) -> dict[str, Any]:
    """The form of a job as a browser sends it."""
    return form_data(all_recipes()["grpo"], "My run", [f"model_path={model}", "gpus=8"])


def carried(content: bytes, form: int) -> dict[str, str]:
    """The hidden fields of the page's n-th form that leads back to the job's."""
    forms = re.findall(
        r'<form[^>]*action="/jobs/new/grpo/filled/".*?</form>', content.decode(), re.S
    )
    found = re.findall(r'name="([\w-]+)"\s+value="([^"]*)"', forms[form])
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


def test_without_known_cards_one_is_to_be_chosen(page: Client, filled: dict[str, Any]) -> None:
    response = page.post(URL, filled)

    assert response.status_code == 200
    assert b"The machine of the job has none that is known." in response.content
    assert b"NVIDIA H100" in response.content
    assert b"that fits" not in response.content


def test_the_cards_of_the_jobs_machine_are_planned_for(
    page: Client, filled: dict[str, Any]
) -> None:
    box = factories.make_ssh_machine(python="/usr/bin/python3")
    cards = [{"index": at, "name": "NVIDIA L4", "memory_total": 23 << 30} for at in range(2)]
    box.samples.create(at=timezone.now(), data={"gpus": cards})

    response = page.post(URL, {**filled, "machine": box.pk, "gpus": 2})

    assert response.status_code == 200
    text = response.content.decode()
    assert "The fastest that fits" in text
    assert "2 \u00d7 NVIDIA L4" in text


def test_a_plan_has_settings_with_reasons(page: Client, filled: dict[str, Any]) -> None:
    response = page.post(URL, {**filled, **H100})

    assert response.status_code == 200
    text = response.content.decode()
    assert "The fastest that fits" in text
    assert "Memory share" in text
    assert re.search(r"\d+ % slower\.", text)
    assert "no price is known" in text
    assert "half as long as the longest" in text
    assert Job.objects.count() == 0


def test_it_is_applied_to_the_form_by_one_click(page: Client, filled: dict[str, Any]) -> None:
    planned = page.post(URL, {**filled, **H100})

    applied = carried(planned.content, 1)  # the first leads back as it was
    response = page.post(FILLED, applied)

    assert response.status_code == 200
    text = response.content.decode()
    assert applied["dynamic_batch"] == "true"
    tokens = applied["max_tokens_per_gpu"]
    assert re.search(rf'name="max_tokens_per_gpu"\s+value="{tokens}"', text)
    assert re.search(r'name="name"\s+value="My run"', text)
    assert Job.objects.count() == 0


def test_the_way_back_changes_nothing(page: Client, filled: dict[str, Any]) -> None:
    planned = page.post(URL, {**filled, **H100})

    back = carried(planned.content, 0)

    assert {name: str(value) for name, value in filled.items() if value != ""}.items() <= {
        name: value.replace("&#x27;", "'") for name, value in back.items()
    }.items()
    assert not any(name.startswith("plan-") for name in back)


def test_where_nothing_fits_the_page_says_what_would(page: Client, filled: dict[str, Any]) -> None:
    answers = {"max_response_length": 100_000, "gpus": 1}

    response = page.post(URL, {**filled, **H100, **answers, "plan-gpu": "t4", "plan-gpus": "1"})

    assert response.status_code == 200
    text = response.content.decode()
    assert "Nothing fits" in text
    assert "It fits with answers of at most" in text
    assert 'aria-describedby="choice-1">Apply' in re.sub(r"\s+", " ", text).replace("> ", ">")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"plan-gpus": "0"}, "greater than or equal to 1"),
        ({"plan-gpus": "many"}, "whole number"),
        ({"plan-gpu": ""}, "Choose a GPU."),
        ({"plan-gpu": "voodoo"}, "not one of the available choices"),
        ({"plan-goal": "nicest"}, "not one of the available choices"),
        ({"lora_rank": "1000"}, "LoRA rank: A LoRA rank of 1000 is above the model"),
        ({"tensor_parallel": "3"}, "Tensor parallelism: Tensor parallelism of 3 does not divide"),
        ({"model_path": "/nowhere"}, "Model: /nowhere is not here"),
    ],
)  # fmt: skip
def test_bad_input_is_named(
    page: Client, filled: dict[str, Any], changed: dict[str, str], said: str
) -> None:
    response = page.post(URL, {**filled, **H100, **changed})

    assert response.status_code == 422
    assert said in response.content.decode()


def test_markup_in_the_form_is_carried_as_text(page: Client, filled: dict[str, Any]) -> None:
    response = page.post(URL, {**filled, **H100, "name": '"><script>alert(1)</script>'})

    assert b"<script>alert" not in response.content
    assert b"&lt;script&gt;alert" in response.content


def test_a_draft_stays_that_draft(page: Client, user: User, filled: dict[str, Any]) -> None:
    spec = factories.grpo_spec().to_json()
    draft = factories.make_job(user, kind="grpo", spec=spec, recipe="grpo")
    form = page.get(f"/jobs/{draft.pk}/edit/")
    assert f'name="draft" value="{draft.pk}"'.encode() in form.content

    planned = page.post(URL, {**filled, **H100, "draft": draft.pk, "revision": draft.revision})
    response = page.post(FILLED, carried(planned.content, 1))

    assert f'action="/jobs/{draft.pk}/edit/"'.encode() in response.content


def test_someone_elses_draft_is_not_there(page: Client, filled: dict[str, Any]) -> None:
    other = factories.make_job(factories.make_user("other"))

    assert page.post(FILLED, {**filled, "draft": other.pk}).status_code == 404


@pytest.mark.parametrize("url", [URL, FILLED])
def test_who_and_how(page: Client, url: str, samples: Path) -> None:
    assert asks_for_login(url, "post")
    assert refuses_other_methods(page, url, "post")
    assert page.post(url.replace("grpo", "no-such")).status_code == 404


def test_what_finished_runs_taught_holds_for_the_plan_too(
    page: Client, filled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Correction(3, Factor(2.0, 0.9, 1.1), {})
    plain = page.post(URL, {**filled, **H100}).content
    monkeypatch.setattr("jobs.plan.services.correction_for", lambda question: told)

    taught = page.post(URL, {**filled, **H100}).content

    assert carried(plain, 1) != carried(taught, 1), "twice the memory takes other settings"


def test_a_search_that_takes_too_long_is_said(
    page: Client, filled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.plan.services.SEARCH", Limits(seconds=0.01))

    response = page.post(URL, {**filled, **H100})

    assert response.status_code == 422
    assert b"The search was broken off." in response.content


def test_overrides_that_meet_the_plan_are_told(page: Client, filled: dict[str, Any]) -> None:
    """One that would beat it goes, and one that sets more stays and is warned of."""
    lines = (
        "actor_rollout_ref.actor.strategy=fsdp2",
        "actor_rollout_ref.actor.fsdp_config={param_offload: true}",
    )

    response = page.post(URL, {**filled, **H100, "overrides": "\n".join(lines)})

    text = response.content.decode()
    assert "Left out, since it would beat what is planned." in text
    assert "The override of actor_rollout_ref.actor.fsdp_config beats the plan" in text
    applied = carried(response.content, 1)["overrides"].splitlines()
    assert (lines[0] in applied, lines[1] in applied) == (False, True)


def test_a_search_that_fails_is_told_and_logged(
    page: Client,
    filled: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a formula that nobody tried so")

    monkeypatch.setattr("jobs.plan.services.call", broken)

    response = page.post(URL, {**filled, **H100})

    assert response.status_code == 422
    assert b"The estimate failed. The log says why." in response.content
    assert "a formula that nobody tried so" in caplog.text
