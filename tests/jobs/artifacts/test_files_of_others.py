"""No page reads a file of somebody else's run, whatever field names it."""

import html
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from datasets import services, working
from datasets.formats.columns import ColumnMapping
from datasets.formats.splitting import Split
from datasets.models import Report, Source, Version
from datasets.services import DatasetError
from jobs.calculator.forms import CalculatorForm
from jobs.models import Job
from platform_site.work.models import State
from tests import factories
from tests.jobs.rewards.test_try_reward import URL as TRY_REWARD
from tests.jobs.rewards.test_try_reward import posted

GSM = {"data_source": "openai/gsm8k"}
NOT_YOURS = "There is no run of yours at"
ORDER = "/jobs/new/sample-grpo/"
Data = dict[str, str]
Said = Callable[[Client, Path, Data], str]


def said_by(response: object) -> str:
    return html.unescape(response.content.decode())  # type: ignore[attr-defined]


def reward_rows(page: Client, path: Path, _: Data) -> str:
    given = {"rows": "file", "data_file": str(path), "answers_from": "truth"}
    return said_by(page.post(TRY_REWARD, posted(**given)))


def reward_file(page: Client, path: Path, _: Data) -> str:
    return said_by(page.post(TRY_REWARD, posted(path=str(path))))


def order(field: str) -> Said:
    def said(page: Client, path: Path, data: Data) -> str:
        return said_by(page.post(f"{ORDER}preview/", {**data, field: str(path)}))

    return said


def order_override(page: Client, path: Path, data: Data) -> str:
    given = {**data, "overrides": f"data.custom_cls.path={path}"}
    return said_by(page.post(f"{ORDER}preview/", given))


def browsed(page: Client, path: Path, _: Data) -> str:
    return said_by(page.get("/datasets/browse/", {"in": str(path.parent)}))


def calculator(page: Client, path: Path, _: Data) -> str:
    return said_by(page.get("/calculator/", {"model": str(path.parent)}))


PLACES = {
    "rows of a reward": reward_rows,
    "reward": reward_file,
    "data of an order": order("train_files"),
    "validation of an order": order("val_files"),
    "reward of an order": order("reward_file"),
    "override of an order": order_override,
    "browse": browsed,
    "calculator": calculator,
}


@pytest.fixture
def theirs(other: User, samples: Path) -> Path:
    folder = Path(factories.make_job(other).run_dir)
    return factories.write_lines(folder / "rollouts/1.jsonl", [{"q": "secret"}])


@pytest.mark.parametrize("place", PLACES)
def test_a_file_of_somebody_elses_run(
    page: Client, user: User, theirs: Path, home: Path, grpo_data: Data, place: str
) -> None:
    said = PLACES[place](page, theirs, grpo_data)
    assert NOT_YOURS in said
    link = home / "link"
    link.symlink_to(theirs.parent)
    assert NOT_YOURS in PLACES[place](page, link / theirs.name, grpo_data)
    Job.objects.update(owner=user)
    assert NOT_YOURS not in PLACES[place](page, theirs, grpo_data)


def test_the_folder_of_all_runs_is_not_listed_and_those_above_are(
    page: Client, theirs: Path, home: Path
) -> None:
    above = said_by(page.get("/datasets/browse/", {"in": str(home)}))
    assert "runs/" in above
    runs = said_by(page.get("/datasets/browse/", {"in": str(home / "runs")}))
    assert "Files of other users lie in" in runs
    assert theirs.parents[1].name not in runs


@pytest.fixture
def version(home: Path, user: User) -> Version:
    rows = [{"q": f"{n}+1=?", "a": f"{n + 1}"} for n in range(4)]
    source = services.import_path(
        services.create("sums", user), str(factories.write_lines(home / "rows.jsonl", rows)), user
    )
    working.work_off(source)
    source.refresh_from_db()
    roles = ColumnMapping("rl", "question_answer", {"question": "q", "answer": "a"}, GSM)
    made = services.compile_version(source, roles, Split(1, 1), user)
    working.work_off(made)
    made.refresh_from_db()
    assert made.state == State.DONE, made.error
    return made


def test_a_model_that_counts_tokens(
    page: Client, user: User, version: Version, theirs: Path
) -> None:
    url = f"/datasets/{version.dataset_id}/versions/{version.number}/"
    given = {"model": str(theirs.parent)}
    assert NOT_YOURS in said_by(page.post(f"{url}check/", given))
    assert NOT_YOURS in said_by(page.get(f"{url}tokens/", {**given, "row": "0", "file": "train"}))
    assert not Report.objects.exists()
    Job.objects.update(owner=user)
    assert page.post(f"{url}check/", given).status_code == 302


@pytest.mark.parametrize("kind", ["source", "report"])
def test_a_retry_looks_again_whose_it_is(
    page: Client, user: User, staff: User, version: Version, theirs: Path, kind: str
) -> None:
    """Staff began it, or the run was the user's own then."""
    work: Source | Report
    if kind == "source":
        work = services.import_path(version.dataset, str(theirs), staff)
        url = f"/datasets/{version.dataset_id}/sources/{work.pk}/retry/"
    else:
        work = services.check(version, str(theirs.parent), None, staff)
        base = f"/datasets/{version.dataset_id}/versions/{version.number}"
        url = f"{base}/report/{work.pk}/retry/"
    type(work).objects.filter(pk=work.pk).update(state=State.FAILED)
    assert NOT_YOURS in said_by(page.post(url, follow=True))
    work.refresh_from_db()
    assert work.state == State.FAILED
    with pytest.raises(DatasetError, match=NOT_YOURS):
        services.retry(work, user)
    page.force_login(staff)
    page.post(url)
    work.refresh_from_db()
    assert work.state != State.FAILED


def test_a_name_of_the_hub_is_nobodys(user: User, theirs: Path) -> None:
    form = CalculatorForm({"model": "qwen2.5-0.5b"}, user)  # type: ignore[arg-type]
    assert form.is_valid(), form.errors
