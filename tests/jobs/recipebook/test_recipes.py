"""Recipes of one's own: kept from a job, used as any other, handed on, removed."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from jobs.launch import command as commands
from jobs.models import Job, SavedRecipe
from jobs.order.forms import form_data
from jobs.places import places
from jobs.recipebook import book, files
from jobs.verl.recipes import Recipe, all_recipes
from tests import factories
from tests.pages import asks_for_login, command_in, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def job(user: User, samples: Path) -> Job:
    """A job of the sample recipe with a learning rate of its own."""
    values = all_recipes()["sample-sft"].spec(places()).values
    spec = {"values": {**values, "lr": 0.25}, "overrides": ["data.num_workers=3"]}
    return factories.make_job(user, name="a good one", spec=spec, is_sample=True)


def command(*argv: str) -> str:
    out = io.StringIO()
    call_command(*argv, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def found(slug: str, user: User) -> Recipe:
    recipe = book.find_recipe(slug, user)
    assert recipe is not None
    return recipe


@pytest.fixture
def saved(user: User, job: Job) -> SavedRecipe:
    return book.save_recipe(user, job, "My SFT", "For sums.")


def test_save_from_a_jobs_page(page: Client, user: User, job: Job) -> None:
    response = page.post(f"/jobs/{job.pk}/recipe/", {"title": "My SFT", "purpose": "For sums."})
    assert (response.status_code, response.headers["Location"]) == (302, f"/jobs/{job.pk}/")
    saved = SavedRecipe.objects.get()
    assert (saved.slug, saved.title, saved.purpose) == ("my-my-sft", "My SFT", "For sums.")
    assert (saved.owner, saved.kind, saved.job, saved.is_sample) == (user, "sft", job, True)
    assert saved.spec["values"]["lr"] == 0.25
    assert saved.spec["overrides"] == ["data.num_workers=3"]


@pytest.mark.parametrize(
    ("title", "words"),
    [("", "Title: This field is required."), ("a\tb", "Title: A name is one line")],
)
def test_a_bad_title_is_told_and_nothing_is_kept(
    page: Client, job: Job, title: str, words: str
) -> None:
    response = page.post(f"/jobs/{job.pk}/recipe/", {"title": title}, follow=True)
    assert words in response.content.decode()
    assert SavedRecipe.objects.count() == 0


def test_equal_titles_get_slugs_of_their_own(user: User, other: User, job: Job) -> None:
    slugs = [book.save_recipe(who, job, "x").slug for who in (user, user, other)]
    assert slugs == ["my-x", "my-x-2", "my-x-3"]
    assert book.save_recipe(user, job, "!?").slug == "my-recipe"


def test_a_slug_that_was_taken_just_now_is_passed_over(
    user: User, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.save_recipe(user, job, "x")
    slugs = iter(["my-x", "my-x-2"])  # the first look came too early
    monkeypatch.setattr(book, "_free_slug", lambda title: next(slugs))
    assert book.save_recipe(user, job, "x").slug == "my-x-2"


def test_no_recipe_of_trainyards_could_be_taken_for_ones_own() -> None:
    assert [s for s in all_recipes() if s.startswith("my-") or book.OF_JOB.match(s)] == []


def test_the_new_job_page_lists_ones_own_first(
    page: Client, saved: SavedRecipe, other: User, job: Job
) -> None:
    book.save_recipe(other, job, "Not mine")
    content = page.get("/jobs/new/").content.decode()
    assert content.index("Your recipes") < content.index('href="/jobs/new/my-my-sft/"')
    assert content.index('href="/jobs/new/my-my-sft/"') < content.index("Trainyard&#x27;s recipes")
    assert "Not mine" not in content


def test_its_form_preview_and_job(page: Client, user: User, saved: SavedRecipe) -> None:
    url = "/jobs/new/my-my-sft/"
    response = page.get(url)
    assert response.status_code == 200
    assert "optim.lr=0.25" in command_in(response)
    assert "data.num_workers=3" in command_in(response)
    data = {n: str(v) for n, v in form_data(found(saved.slug, user), "", []).items()}
    assert page.post(f"{url}preview/", data).status_code == 200
    assert page.post(url, {**data, "epochs": "2", "action": "draft"}).status_code == 302
    made = Job.objects.get(recipe=saved.slug)
    origins = commands.origins(made)
    assert (origins["lr"], origins["epochs"]) == ("recipe", "you")
    assert made.is_sample is True


def test_another_users_recipe_is_not_there(page: Client, other: User, job: Job) -> None:
    slug = book.save_recipe(other, job, "theirs").slug
    assert page.get(f"/jobs/new/{slug}/").status_code == 404
    assert page.post(f"/jobs/new/{slug}/preview/").status_code == 404
    assert page.get(f"/jobs/recipes/{slug}.toml").status_code == 404
    assert page.get(f"/jobs/recipes/{slug}/delete/").status_code == 404
    assert page.post(f"/jobs/recipes/{slug}/rename/", {"title": "x"}).status_code == 404
    assert page.post(f"/jobs/recipes/{slug}/delete/").status_code == 404
    assert SavedRecipe.objects.filter(slug=slug).exists()


def test_another_users_job_is_not_there(page: Client, other: User) -> None:
    theirs = factories.make_job(other)
    assert page.post(f"/jobs/{theirs.pk}/recipe/", {"title": "x"}).status_code == 404
    assert page.get(f"/jobs/new/job-{theirs.pk}/").status_code == 404


def test_a_value_without_a_knob_of_today_is_named_and_left_out(
    page: Client, saved: SavedRecipe
) -> None:
    saved.spec["values"] |= {"gone_knob": 7, "rollout_n": 8}
    saved.save()
    response = page.get(f"/jobs/new/{saved.slug}/")
    content = response.content.decode()
    assert "Left out, since SFT has no such setting: gone_knob = 7, rollout_n = 8." in content
    assert "gone_knob" not in command_in(response)
    assert "Left out" in page.get("/jobs/new/").content.decode()


def test_braces_in_a_path_stay_as_they_are(user: User) -> None:
    path = "/data/{samples}/{0}/{"
    job = factories.make_job(user, spec=factories.sft_spec(train_files=path).to_json())
    saved = book.save_recipe(user, job, "braces")
    assert found(saved.slug, user).spec(places()).values["train_files"] == path
    again = files.import_recipe(user, files.export_recipe(found(saved.slug, user)))
    assert again.spec["values"]["train_files"] == path


def test_another_title_leaves_it_where_it_stands(
    page: Client, user: User, job: Job, saved: SavedRecipe
) -> None:
    book.save_recipe(user, job, "Another")
    before = [recipe.slug for recipe in book.own_recipes(user)]
    response = page.post(f"/jobs/recipes/{saved.slug}/rename/", {"title": "Aardvark"})
    assert response.headers["Location"] == f"/jobs/new/#{saved.slug}"
    assert [recipe.slug for recipe in book.own_recipes(user)] == before
    assert found(saved.slug, user).title == "Aardvark"
    content = page.get("/jobs/new/").content.decode()
    assert [content.index(f'id="{slug}"') for slug in before] == sorted(
        content.index(f'id="{slug}"') for slug in before
    )


def test_a_bad_title_is_told_and_changes_nothing(page: Client, saved: SavedRecipe) -> None:
    response = page.post(f"/jobs/recipes/{saved.slug}/rename/", {"title": "a\tb"}, follow=True)
    assert "Title: A name is one line" in response.content.decode()
    saved.refresh_from_db()
    assert saved.title == "My SFT"


def test_it_keeps_what_its_recipe_says_of_models_and_usual_values(user: User) -> None:
    spec = {"values": {**all_recipes()["sft"].values}}
    job = factories.make_job(user, recipe="sft", spec=spec)
    saved = book.save_recipe(user, job, "Mine")
    job.delete()
    assert found(saved.slug, user).ranges == all_recipes()["sft"].ranges
    assert found(saved.slug, user).sizes == "0.5 B to 8 B"


def test_delete_asks_first(page: Client, saved: SavedRecipe) -> None:
    url = f"/jobs/recipes/{saved.slug}/delete/"
    assert "Remove the recipe My SFT?" in page.get(url).content.decode()
    assert SavedRecipe.objects.count() == 1
    assert page.post(url).status_code == 302
    assert SavedRecipe.objects.count() == 0
    assert Job.objects.count() == 1


def test_a_recipe_outlives_its_job(user: User, saved: SavedRecipe, job: Job) -> None:
    job.delete()
    assert found(saved.slug, user).values["lr"] == 0.25


def test_download_and_take_in_again(
    page: Client, client: Client, other: User, saved: SavedRecipe
) -> None:
    response = page.get(f"/jobs/recipes/{saved.slug}.toml")
    assert response.headers["Content-Disposition"] == 'attachment; filename="my-my-sft.toml"'
    client.force_login(other)
    sent = {"file": SimpleUploadedFile("x.toml", response.content)}
    assert client.post("/jobs/recipes/import/", sent).status_code == 302
    theirs = SavedRecipe.objects.get(owner=other)
    assert (theirs.title, theirs.purpose, theirs.kind) == (saved.title, saved.purpose, "sft")
    assert theirs.spec_of_kind.values == saved.spec_of_kind.values
    assert theirs.spec_of_kind.overrides == saved.spec_of_kind.overrides


@pytest.mark.parametrize("slug", list(all_recipes()))
def test_every_recipe_of_trainyards_can_be_downloaded_and_taken_in(
    page: Client, user: User, slug: str
) -> None:
    text = page.get(f"/jobs/recipes/{slug}.toml").content.decode()
    saved = files.import_recipe(user, text)
    spec = all_recipes()[slug].spec(places())
    assert found(saved.slug, user).spec(places()) == spec


GOOD = 'kind = "sft"\ntitle = "t"\n[values]\nlr = 0.1\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfe", "not a text in UTF-8"),
        (b"kind = ", "That is not TOML"),
        (b"x" * 300_000, "too large for a recipe"),
        (GOOD.replace("sft", "lora").encode(), "kind is 'lora': it is one of sft, dpo"),
        (GOOD.replace("lr", "lrr").encode(), "SFT has no setting lrr."),
        (
            GOOD.replace("0.1", "[1]").encode(),
            "lr is neither a line of text, a number, true nor false.",
        ),
        (GOOD.replace("0.1", "nan").encode(), "lr is neither"),
        (GOOD.replace("0.1", '"a\\u0000b"').encode(), "lr is neither"),
        (GOOD.replace("0.1", '"{nowhere}"').encode(), "{nowhere} is not a folder that is known"),
        (GOOD.replace("0.1", '"{"').encode(), "{ is not a folder that is known"),
        (GOOD.replace("0.1", '"{samples.x}"').encode(), "{ is not a folder that is known"),
        (GOOD.replace("0.1", '"{samples:>9}"').encode(), "{ is not a folder that is known"),
        (b"a = " + b"[" * 100_000, "lie too deep in each other"),
        (GOOD.replace('"t"', '"a\\u0000"').encode(), "title is missing"),
        (GOOD.replace('title = "t"', "").encode(), "title is missing"),
        (GOOD.replace('title = "t"', 'title = "  "').encode(), "title is missing"),
        (GOOD.replace("[values]\nlr = 0.1", "values = 3").encode(), "no table [values]"),
        (b"overrides = [3]\n" + GOOD.encode(), "overrides is a list of texts of one line."),
        (b"", "The submitted file is empty."),
    ],
)
def test_a_bad_file_is_told_and_nothing_is_kept(page: Client, text: bytes, words: str) -> None:
    sent = {"file": SimpleUploadedFile("x.toml", text)}
    response = page.post("/jobs/recipes/import/", sent, follow=True)
    assert words in response.content.decode().replace("&#x27;", "'")
    assert SavedRecipe.objects.count() == 0


def test_a_file_with_a_byte_order_mark_and_crlf_is_read(page: Client) -> None:
    text = "\ufeff" + GOOD.replace("\n", "\r\n")
    page.post("/jobs/recipes/import/", {"file": SimpleUploadedFile("x", text.encode())})
    assert SavedRecipe.objects.get().spec["values"] == {"lr": 0.1}


def test_anonymous(db: None) -> None:
    assert asks_for_login("/jobs/1/recipe/", "post")
    assert asks_for_login("/jobs/recipes/import/", "post")
    assert asks_for_login("/jobs/recipes/sft.toml")
    assert asks_for_login("/jobs/recipes/my-x/delete/")
    assert asks_for_login("/jobs/recipes/my-x/rename/", "post")


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, f"/jobs/{job.pk}/recipe/", "post")
    assert refuses_other_methods(page, "/jobs/recipes/import/", "post")
    assert refuses_other_methods(page, "/jobs/recipes/sft.toml", "get")
    assert refuses_other_methods(page, "/jobs/recipes/my-x/delete/", "get", "post")
    assert refuses_other_methods(page, "/jobs/recipes/my-x/rename/", "post")


def test_by_command(samples: Path, staff: User, tmp_path: Path) -> None:
    job = factories.make_job(staff, spec=factories.sft_spec(lr=0.25).to_json())
    told = json.loads(command("recipe", "save", str(job.pk), "--title", "Mine", "--json"))
    assert told == {"name": "my-mine", "kind": "sft", "title": "Mine"}
    listed: list[dict[str, Any]] = json.loads(command("recipes", "--json"))
    assert (listed[0]["name"], listed[0]["is_own"], listed[1]["is_own"]) == ("my-mine", True, False)
    assert command("recipes").startswith("Your recipes:\n* my-mine")
    told = json.loads(command("recipe", "rename", "my-mine", "--title", "Mine!", "--json"))
    assert told == {"name": "my-mine", "kind": "sft", "title": "Mine!"}
    file = tmp_path / "mine.toml"
    file.write_text(command("recipe", "export", "my-mine"))
    assert "my-mine-2" in command("recipe", "import", str(file))
    assert "gone" in command("recipe", "delete", "my-mine")
    assert [saved.slug for saved in SavedRecipe.objects.all()] == ["my-mine-2"]


def test_a_saved_recipe_is_submitted_by_its_name(samples: Path, staff: User) -> None:
    values = all_recipes()["sample-sft"].spec(places()).values
    job = factories.make_job(staff, spec={"values": {**values, "lr": 0.25}})
    book.save_recipe(staff, job, "Mine")
    made = json.loads(command("submit", "my-mine", "--set", "epochs=2", "--json"))
    assert made["recipe"] == "my-mine"
    assert Job.objects.get(pk=made["id"]).spec["values"]["lr"] == 0.25


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["save", "x"], "x is no job's number"),
        (["save", "99"], "There is no job 99"),
        (["export", "none"], "There is no recipe none"),
        (["import", "/nowhere.toml"], "was not taken"),
        (["delete", "sft"], "root has no recipe sft of their own."),
    ],
)
def test_the_command_says_what_is_wrong(staff: User, argv: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        command("recipe", *argv)
