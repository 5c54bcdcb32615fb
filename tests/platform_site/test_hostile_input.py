"""Whatever somebody types, posts or sends: an answer, and never an error of the site's own."""

import asyncio
import json
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django import forms
from django.contrib.auth.models import AnonymousUser, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from compute.pages.forms import MachineForm
from datasets.forms import NewForm
from datasets.models import Dataset
from jobs.order.forms import JobForm, form_data
from jobs.recipebook.files import RecipeError, import_recipe
from jobs.recipebook.forms import SaveForm
from jobs.rewards.forms import RewardForm
from jobs.verl.overrides import parse
from jobs.verl.recipes import all_recipes
from monitoring.page.live import Seen
from monitoring.page.routing import urlpatterns
from tests import factories

VALUES = {
    "lists": "[" * 3000,
    "closed lists": "[" * 900 + "]" * 900,
    "objects": '{"a":' * 3000,
    "brackets of a call": "a=" + "f(" * 3000,
    "a long word": "x" * 50_001,
    "a long name": "x" * 900,
    "a long path": "/" + "x" * 900,
    "a very long path": "/x" * 4000,
    "digits": "9" * 5000,
    "many digits": "9" * 30,
    "a negative number": "-1",
    "a small number": "1e-400",
    "a large number": "1e400",
    "not a number": "nan",
    "a zero byte": "a\0b",
    "half a character": "\ud800",
    "other digits": "²٣",
    "lines": "\n" * 5_000,
    "patterns": "%_*?[a-" * 100,
    "markup": "</script>{{ 1 }}{% x %}${oc.env:HOME}",
    "quotes": "'\"`$(x)\\",
}


@pytest.fixture(params=VALUES)
def value(request: pytest.FixtureRequest) -> str:
    return VALUES[request.param]


def sent(value: str) -> str:
    """As a browser can send it."""
    return value.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("kind", ["sample-sft", "sample-grpo", "sample-ppo", "sample-dpo"])
def test_every_field_of_a_job_takes_or_refuses_it(samples: object, user: User, kind: str) -> None:
    form = JobForm(all_recipes()[kind], user)
    for value in VALUES.values():
        for name, field in form.fields.items():
            refuses_or_takes(name, field, value)


@pytest.mark.parametrize("made", [RewardForm, NewForm, MachineForm, SaveForm])
def test_every_field_of_a_form_takes_or_refuses_it(db: None, made: type[forms.Form]) -> None:
    for value in VALUES.values():
        for name, field in made().fields.items():
            if not isinstance(field, forms.FileField):
                refuses_or_takes(name, field, value)


def refuses_or_takes(name: str, field: forms.Field, value: str) -> None:
    given: Any = [value] if isinstance(field, forms.MultipleChoiceField) else value
    try:
        field.clean(given)
    except forms.ValidationError:
        return
    except Exception as error:
        raise AssertionError(f"{name} with {value[:20]!r}: {error!r}") from error


TEXTS = ("overrides", "machine", "train_files")


@pytest.mark.parametrize("word", ["lists", "closed lists", "a long word", "lines", "markup"])
def test_the_form_of_a_job_says_what_is_wrong(page: Client, samples: object, word: str) -> None:
    value = VALUES[word]
    recipe = all_recipes()["sample-grpo"]
    for name in TEXTS:
        data = form_data(recipe, "", []) | {name: sent(value)}
        answer = page.post(reverse("jobs:preview", args=[recipe.slug]), data)
        assert answer.status_code == 200, name
    everything = dict.fromkeys(data, sent(value))
    assert page.post(reverse("jobs:create", args=[recipe.slug]), everything).status_code == 422


def test_other_forms_say_what_is_wrong(page: Client, staff: User, value: str) -> None:
    reward = {"scorer": "file", "rows": "pasted", "answers_from": "pasted", "answers": "1"}
    for name in ("path", "kwargs", "data_file", "count"):
        given = reward | {"path": "/nowhere.py", name: sent(value)}
        answer = page.post(reverse("jobs:try-reward"), given)
        assert answer.status_code < 500, name
    for name in ("name", "path", "hub", "description"):
        given = {"name": "rows", "path": "/nowhere.parquet"} | {name: sent(value)}
        given = given if name != "hub" else given | {"path": ""}
        assert page.post(reverse("datasets:new"), given).status_code in (302, 422), name
    page.force_login(staff)
    form = dict.fromkeys(MachineForm().fields, sent(value))
    assert page.post(reverse("compute:new"), form).status_code == 422


def test_a_path_that_no_disk_takes_leaves_no_data_set(page: Client) -> None:
    given = {"name": "rows", "path": "/" + "x" * 900}
    answer = page.post(reverse("datasets:new"), given)
    assert answer.status_code == 422
    assert "it is too long" in answer.content.decode()
    assert not Dataset.objects.exists()


LISTS = ("jobs:list", "datasets:list", "compute:list", "artifacts:list", "queue:page")
ASKED = ("q", "page", "sort", "status", "kind", "metric", "job", "machine", "state", "target",
         "attempt", "format", "stamp", "name", "low", "width", "seen", "a", "b", "in", "step",
         "severity", "source", "start", "field", "value", "op", "shape", "report")  # fmt: skip


def test_every_address_takes_any_words(page: Client, user: User, value: str) -> None:
    job = factories.make_job(user)
    pages = [reverse(name) for name in LISTS] + [reverse("monitoring:across_runs")]
    pages += [
        reverse(f"{app}:{name}", args=[job.pk])
        for app, name in (
            ("jobs", "events"), ("monitoring", "figures"), ("monitoring", "points"),
            ("monitoring", "run"),
        )
    ]  # fmt: skip
    pages += [reverse("compare:page"), reverse("datasets:browse")]
    query = dict.fromkeys(ASKED, sent(value)[:1000]) | {"q": sent(value)}
    assert [url for url in pages if page.get(url, query).status_code >= 500] == []


def test_a_head_is_answered_as_a_get_is(page: Client, user: User) -> None:
    job = factories.make_job(user)
    for url in (reverse("monitoring:dashboard"), reverse("jobs:new"), job.get_absolute_url()):
        assert page.head(url).status_code == page.get(url).status_code == 200
    assert page.head(reverse("jobs:preview", args=["sample-sft"])).status_code == 405


@pytest.mark.parametrize("text", ["x = " + "9" * 5000, "x = " + "[" * 3000, "x = 1e999999999"])
def test_a_recipe_that_is_none_is_refused(user: User, text: str) -> None:
    with pytest.raises(RecipeError):
        import_recipe(user, text)


def test_a_recipe_of_many_digits_is_a_sentence(page: Client) -> None:
    file = SimpleUploadedFile("r.toml", b"kind = " + b"9" * 5000)
    assert page.post(reverse("jobs:recipe_import"), {"file": file}).status_code < 500


@pytest.mark.parametrize("text", ["a=" + "[" * 3000, "a=" + "x" * 50_000, "[" * 3000])
def test_an_override_that_is_too_deep_or_long_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too long for an override, or nested too deep"):
        parse(text)


MESSAGES = [
    *(text.encode("utf-8", "replace").decode() for text in VALUES.values()),
    "[" * 50_000,
    "5", "null", '"want"', '["want"]', '{"want": 5}', '{"want": {"a": 1}}', '{"want": [[[]]]}',
    '{"want": null}', "{}", '{"revision": "x", "log": 1}', '{"revision": 1e400, "log": 1}',
    json.dumps(dict.fromkeys(Seen.__annotations__)),
]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_a_websocket_outlives_whatever_it_is_sent() -> None:
    user = factories.make_user("ada")
    job = factories.make_job(user, status="running")

    async def talk() -> None:
        socket = connected(f"/ws/jobs/{job.pk}/", user)
        assert (await socket.connect())[0]
        for message in MESSAGES:
            await socket.send_to(text_data=message)
        await socket.send_to(bytes_data=b"\xff")
        await socket.send_to(text_data='{"revision": 0, "log": 0}')
        assert await socket.receive_from()
        await socket.disconnect()

    asyncio.run(talk())


@pytest.mark.parametrize(
    "path", ["/ws/", "/ws/nowhere/", "/ws/jobs/x/", "/", "/ws/jobs/" + "9" * 5000]
)
def test_an_unknown_address_of_a_websocket_is_closed(path: str) -> None:
    async def talk() -> dict[str, Any]:
        socket = connected(path, AnonymousUser())
        assert (await socket.connect())[0]
        answer: dict[str, Any] = await socket.receive_output()
        return answer

    assert asyncio.run(talk()) == {"type": "websocket.close", "code": 4404}


def connected(path: str, user: Any) -> WebsocketCommunicator:
    from channels.routing import URLRouter

    socket = WebsocketCommunicator(URLRouter(urlpatterns), path)  # type: ignore[arg-type]
    socket.scope["user"] = user  # type: ignore[typeddict-unknown-key]
    return socket
