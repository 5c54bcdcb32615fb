import re
import uuid as uuids
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from jobs.models import Job
from jobs.order import forms
from jobs.order.choice_fields import OFFERED
from platform_site.bounded.limits import TooMuch
from tests import factories, taskqueue
from tests.fakes import FakeTrainer
from tests.pages import HTMX, asks_for_login, command_in, queries, refuses_other_methods
from tests.waiting import eventually

URL = "/jobs/new/sample-sft/"
GRPO = "/jobs/new/sample-grpo/"

pytestmark = pytest.mark.usefixtures("queue")


def errors(content: bytes) -> dict[str, str]:
    """The text of each field's error slot that has any, by the field's name."""
    found = re.findall(r'id="error-(\w+)"[^>]*>(.*?)</p>', content.decode(), re.DOTALL)
    return {name: text.strip() for name, text in found if text.strip()}


def test_the_form_shows_every_knob_with_the_recipes_values(page: Client, samples: Path) -> None:
    response = page.get(URL)
    assert response.status_code == 200
    text = response.content.decode()
    assert 'name="lr"' in text
    assert 'name="overrides"' in text
    assert f'value="{samples}/model"' in text
    assert 'id="preview-command"' in text
    assert errors(response.content) == {}


def test_without_samples_the_form_says_what_is_missing_as_no_error(page: Client) -> None:
    response = page.get(URL)
    assert response.status_code == 200
    content = response.content.decode()
    assert "There is no file" in content
    assert "Before it can start" in content
    assert "note problem" not in content
    assert "optim.lr=0.002" in command_in(response)


def test_a_fresh_form_has_no_errors_and_names_what_is_still_to_fill_in(page: Client) -> None:
    response = page.get("/jobs/new/grpo/")
    content = response.content.decode()
    assert errors(response.content) == {}
    assert "This field is required" not in content
    assert "note problem" not in content
    needed = content[content.index("Still to fill in") :]
    assert needed.index("#id_train_files") < needed.index("#id_model_path")
    assert "actor_rollout_ref.actor.optim.lr=1e-06" in command_in(response)


def test_what_matters_stands_first_and_when_to_start_last(page: Client, samples: Path) -> None:
    content = page.get(GRPO).content.decode()
    names = re.findall(r'data-field="(\w+)"', content)
    matters = ["model_path", "dataset", "train_files", "variant", "rollout_n", "steps", "device"]
    places = [names.index(name) for name in [*matters, "reward_file", "lr", "after"]]
    assert places == sorted(places)
    assert names[-4:] == ["after", "after_checkpoint", "retries", "max_hours"]
    assert sorted(names) == sorted(set(names)), "each field stands there once"


def test_each_form_has_an_id_of_its_own(page: Client) -> None:
    ids = {re.findall(rb'name="uuid" value="([^"]+)"', page.get(URL).content)[0] for _ in range(2)}
    assert len(ids) == 2


def test_save_as_draft(page: Client, sft_data: dict[str, str]) -> None:
    response = page.post(URL, {**sft_data, "action": "draft"})
    job = Job.objects.get()
    assert response.status_code == 302
    assert response.headers["Location"] == f"/jobs/{job.pk}/"
    assert (job.status, job.steps, job.is_sample) == ("draft", 64, True)
    assert str(job.uuid) == sft_data["uuid"]


def test_start(
    page: Client, sft_data: dict[str, str], django_capture_on_commit_callbacks: OnCommit
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        page.post(URL, {**sft_data, "action": "start"})
    assert Job.objects.get().status == "queued"
    assert taskqueue.size() == 1


def test_start_under_htmx_leaves_the_page(page: Client, sft_data: dict[str, str]) -> None:
    response = page.post(URL, {**sft_data, "action": "start"}, headers=HTMX)
    assert response.status_code == 200
    assert response.headers["HX-Redirect"] == f"/jobs/{Job.objects.get().pk}/"


def test_grpo(page: Client, grpo_data: dict[str, str]) -> None:
    assert page.post(GRPO, {**grpo_data, "action": "start"}).status_code == 302
    job = Job.objects.get()
    assert (job.kind, job.steps, job.recipe) == ("grpo", 16, "sample-grpo")
    assert job.spec["values"]["rollout_n"] == 8


def test_two_tabs_with_one_form_make_one_job(page: Client, sft_data: dict[str, str]) -> None:
    for _ in range(2):
        assert page.post(URL, {**sft_data, "action": "start"}).status_code == 302
    assert Job.objects.count() == 1
    assert [event.kind for event in Job.objects.get().events.all()] == ["queued"]


def test_another_users_form_id_is_refused(
    page: Client, sft_data: dict[str, str], other: User
) -> None:
    factories.make_job(other, uuid=uuids.UUID(sft_data["uuid"]))
    response = page.post(URL, sft_data)
    assert response.status_code == 422
    assert "Send it once more." in response.content.decode()
    assert Job.objects.count() == 1
    fresh = str(response.context["form"]["uuid"].value())
    assert page.post(URL, {**sft_data, "uuid": fresh}).status_code == 302


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "This field is required."),
        ("name", "x" * 201, "at most 200 characters"),
        ("name", "two\nlines", "A name is one line of printable characters."),
        ("name", "\x07", "A name is one line of printable characters."),
        ("lr", "abc", "Write a number, such as "),
        ("lr", "", "This field is required."),
        ("lr", "nan", "Write a number, such as "),
        ("lr", "2", "less than or equal to 1"),
        ("lr", "-1", "greater than or equal to 0"),
        ("epochs", "1.5", "Write a whole number, such as "),
        ("epochs", "0", "greater than or equal to 1"),
        ("epochs", "9" * 30, "less than or equal to 2147483647"),
        ("epochs", "2147483647", "steps are more than can be counted"),
        ("truncation", "middle", "Select a valid choice"),
        ("device", "tpu", "Select a valid choice"),
        ("machine", "999", "Select a valid choice"),
        ("after", "999", "Select a valid choice"),
        ("steps", "65", "The epochs hold 64 steps only: set epochs to 3 or more."),
        ("train_batch_size", "4096", "The data has 2048 rows, fewer than a batch: 4096."),
        ("micro_batch_size", "24", "64 does not divide by 24 (a micro batch)"),
        ("gpus", "3", ""),
        ("max_length", "513", "The model&#x27;s context is 512 tokens."),
        ("overrides", "optim.lrr=1", "has no key optim.lrr. Nearest: optim.lr"),
        ("overrides", "optim.lr=1", "optim.lr is set by the field &#x27;Learning rate&#x27;."),
        ("overrides", "data.train_max_samples=1,2", "lists several values"),
        ("overrides", "nonsense", "is not key=value"),
        ("overrides", "--config-path=/etc", "is not key=value"),
        ("train_files", "/nowhere.parquet", "lies outside the allowed folders"),
        ("train_files", "data.parquet", "is not a whole path: it begins with /."),
        ("train_files", "~/data.parquet", "is not a whole path: it begins with /."),
        ("train_files", "HOME/none.parquet", "There is no file"),
        ("train_files", "HOME/samples", "is a folder; a parquet file is needed."),
        ("val_files", "HOME/samples/rl/val.parquet", "No column messages. SFT reads messages"),
        ("val_files", "HOME/../../../etc/passwd", "lies outside the allowed folders"),
        ("val_files", "HOME/samples/model/config.json", "is not a parquet file"),
        ("model_path", "/etc", "lies outside the allowed folders"),
        ("model_path", "HOME/none", "There is no folder"),
        ("model_path", "HOME/samples/sft", "has no config.json"),
        ("model_path", "no/such", "is neither a folder nor in this machine&#x27;s Hugging Face"),
    ],
)
@pytest.mark.parametrize("action", ["start", "draft"])
def test_bad_input_is_told_at_its_field_and_nothing_is_made(
    page: Client,
    sft_data: dict[str, str],
    home: Path,
    field: str,
    value: str,
    words: str,
    action: str,
) -> None:
    data = {**sft_data, field: value.replace("HOME", str(home)), "action": action}
    response = page.post(URL, data)
    assert response.status_code == 422
    assert Job.objects.count() == 0
    assert taskqueue.size() == 0
    if words:
        assert words in errors(response.content)[field]


def test_a_link_out_of_the_allowed_folders_is_refused(
    page: Client, sft_data: dict[str, str], home: Path, tmp_path: Path
) -> None:
    factories.write_sft_rows(tmp_path / "out.parquet", 64)
    (home / "link.parquet").symlink_to(tmp_path / "out.parquet")
    response = page.post(URL, {**sft_data, "train_files": str(home / "link.parquet")})
    assert "lies outside the allowed folders" in errors(response.content)["train_files"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("engine", "vllm", "vllm needs a GPU; on the CPU the engine is hf."),
        ("mini_batch_size", "24", "32 does not divide by 24 (a mini batch)"),
        ("micro_batch_size", "48", "256 does not divide by 48 (a micro batch)"),
        ("rollout_n", "1", "with one answer nothing is learnt"),
        ("max_response_length", "481", "the model&#x27;s context is 512."),
        ("train_files", "HOME/samples/sft/train.parquet", "No column data_source, prompt"),
        ("reward_file", "/etc/passwd", "lies outside the allowed folders"),
        ("reward_file", "HOME/none.py", "There is no file"),
        ("reward_file", "CODE/../../../../../../../../etc/passwd", "lies outside the allowed"),
        ("reward_file", "CODE/none.py", "There is no file"),
        ("reward_file", "rewards.py", ""),
    ],
)
def test_bad_input_of_grpo(
    page: Client, grpo_data: dict[str, str], home: Path, field: str, value: str, words: str
) -> None:
    code = Path(grpo_data["reward_file"]).parent
    typed = value.replace("HOME", str(home)).replace("CODE", str(code))
    response = page.post(GRPO, {**grpo_data, field: typed})
    assert response.status_code == 422
    assert words in errors(response.content)[field]
    assert Job.objects.count() == 0


def test_a_reward_function_gets_the_arguments_of_the_overrides(
    page: Client, grpo_data: dict[str, str], home: Path
) -> None:
    file = home / "reward.py"
    file.write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info, strict):\n"
        "    return 1 if strict == 'very' else None\n"
    )
    key = "+reward.custom_reward_function.reward_kwargs.strict"
    data = {**grpo_data, "reward_file": str(file), "action": "start"}
    assert page.post(GRPO, {**data, "overrides": f"{key}='very'"}).status_code == 302
    response = page.post(GRPO, {**data, "uuid": uuids.uuid4(), "overrides": f"{key}=no"})
    assert "It is None" in errors(response.content)["reward_file"]
    assert Job.objects.count() == 1


def test_a_reward_whose_rows_take_too_much_to_read_is_refused_with_the_reason(
    page: Client, grpo_data: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bounded(*_: object) -> list[object]:
        raise TooMuch("3 files are being read at this moment.")

    monkeypatch.setattr(forms, "bounded", bounded)
    response = page.post("/jobs/new/sample-grpo/", {**grpo_data, "action": "start"})
    assert response.status_code == 422
    assert "It was not tried: 3 files are being" in errors(response.content)["reward_file"]


def test_invalid_under_htmx_is_the_form_alone(page: Client, sft_data: dict[str, str]) -> None:
    response = page.post(URL, {**sft_data, "lr": "abc"}, headers=HTMX)
    assert response.status_code == 422
    assert b'id="job-form"' in response.content
    assert b"<html" not in response.content
    assert b'value="abc"' in response.content


def test_what_was_typed_is_still_there_after_an_error(
    page: Client, sft_data: dict[str, str]
) -> None:
    response = page.post(URL, {**sft_data, "lr": "abc", "name": 'say "so"'})
    assert b'value="say &quot;so&quot;"' in response.content


def test_after_offers_only_ones_own_jobs(
    page: Client, sft_data: dict[str, str], user: User, other: User
) -> None:
    mine, theirs = factories.make_job(user), factories.make_job(other)
    assert page.post(URL, {**sft_data, "after": str(theirs.pk)}).status_code == 422
    assert page.post(URL, {**sft_data, "after": str(mine.pk)}).status_code == 302
    assert Job.objects.get(uuid=sft_data["uuid"]).after == mine


def test_after_offers_the_newest_and_the_chosen_one_of_very_many(
    page: Client, sft_data: dict[str, str], user: User
) -> None:
    jobs = [factories.make_job(user) for _ in range(OFFERED + 2)]
    listed = re.findall(r'<option value="(\d+)"[^>]*>\d+ · ', page.get(URL).content.decode())
    assert listed == [str(job.pk) for job in reversed(jobs[2:])]
    wrong = {**sft_data, "after": str(jobs[0].pk), "lr": "abc"}
    content = page.post(URL, wrong).content.decode()
    assert f'<option value="{jobs[0].pk}" selected>' in content
    assert f'<option value="{jobs[1].pk}"' not in content
    assert page.post(URL, {**wrong, "lr": "0.1"}).status_code == 302
    assert page.post(URL, {**wrong, "after": "9" * 40}).status_code == 422


def test_more_versions_and_jobs_ask_no_more_of_the_database(
    page: Client, samples: Path, user: User
) -> None:
    factories.make_version(samples / "sft/train.parquet")
    factories.make_job(user)
    before = queries(page, URL)
    for _ in range(3):
        factories.make_version(samples / "sft/train.parquet")
        factories.make_job(user)
    assert queries(page, URL) == before < 40


def test_a_free_override_arrives_in_the_command(page: Client, sft_data: dict[str, str]) -> None:
    page.post(URL, {**sft_data, "overrides": "optim.num_cycles=0.1\n\n  data.num_workers=3  \n"})
    job = Job.objects.get()
    assert job.spec["overrides"] == ["optim.num_cycles=0.1", "data.num_workers=3"]


@pytest.mark.parametrize("name", ["x'; touch pwned #", "../../up", "größe 🚂", "a" * 200, "#"])
def test_what_the_preview_shows_is_what_runs(
    page: Client,
    sft_data: dict[str, str],
    trainer: FakeTrainer,
    home: Path,
    name: str,
    django_capture_on_commit_callbacks: OnCommit,
) -> None:
    trainer.plan(steps=1)
    data = {**sft_data, "name": name, "overrides": "trainer.project_name='it\\'s; touch pwned'"}
    shown = command_in(page.post(f"{URL}preview/", data))
    with django_capture_on_commit_callbacks(execute=True):
        page.post(URL, {**data, "action": "start"})
    taskqueue.work()
    job = Job.objects.get()
    assert job.name == name
    assert Path(job.run_dir, "run.sh").read_text() == shown
    eventually(Path(job.run_dir, "exit_code").exists)
    assert list(home.rglob("pwned*")) == []


def test_no_such_recipe(page: Client) -> None:
    assert page.get("/jobs/new/none/").status_code == 404
    assert page.post("/jobs/new/none/").status_code == 404


def test_an_empty_post(page: Client) -> None:
    response = page.post(URL)
    assert response.status_code == 422
    assert "lr" in errors(response.content)


def test_no_csrf_token_no_job(user: User, sft_data: dict[str, str]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(URL, sft_data).status_code == 403
    assert Job.objects.count() == 0


def test_anonymous(db: None) -> None:
    assert asks_for_login(URL)
    assert asks_for_login(URL, "post")
    assert Job.objects.count() == 0


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, URL, "get", "post")
