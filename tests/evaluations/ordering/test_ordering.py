"""From the page of an evaluation, or its command, to the jobs that evaluate."""

import html
import json
import time
import uuid as uuids
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from compute.machines.local import local_machine
from datasets.models import Version
from evaluations.ordering import checks
from jobs.models import Job, Status
from platform_site.paths import open_to
from surgery.making.forms import Wrong
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods
from tests.surgery.models import adapter, artifact_at, model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
NEW = "/evaluations/new/"


def form(models: list[str], version: Version | None, **fields: object) -> dict[str, object]:
    given = {"uuid": uuids.uuid4(), "models": models, "way": "answers", "action": "start",
             "dataset": version.pk if version else "", "part": "val"}  # fmt: skip
    return {**given, "machine": local_machine().pk, **fields}


def saved(home: Path, *steps: int) -> list[str]:
    return [str(home / f"run/checkpoints/global_step_{step}") for step in steps]


def evaluations() -> list[Job]:
    return list(Job.objects.filter(kind="evaluate").order_by("pk"))


def test_a_page_as_every_other(page: Client) -> None:
    assert asks_for_login(NEW)
    assert refuses_other_methods(page, NEW, "get", "post")
    assert page.get(NEW).status_code == 200


def test_each_checkpoint_gets_a_job_of_its_own(
    page: Client, run: Job, version: Version, reward: Path, home: Path
) -> None:
    data = form(saved(home, 10, 20), version, reward_file=str(reward), limit=4, samples=2,
                temperature=0.8, max_new_tokens=16, reward_kwargs='{"strict": 1}')  # fmt: skip
    reward.write_text(reward.read_text().replace("extra_info=None", "extra_info=None, strict=0"))
    for _ in range(2):  # the same form twice makes the same jobs
        response = page.post(NEW, data)
        assert response.headers.get("Location") == "/evaluations/", problems(response)
    first, second = evaluations()
    assert first.name == "Evaluation of sums, step 10 on sums@1"
    assert (first.status, first.dataset_version) == (Status.QUEUED, version)
    spec = first.spec_of_kind
    assert (spec.model, spec.of_job, spec.of_step) == (saved(home, 10)[0], run.pk, 10)
    assert (spec.samples, spec.temperature, spec.limit) == (2, 0.8, 4)
    assert (spec.reward_file, spec.reward_kwargs) == (str(reward), {"strict": 1})
    assert spec.files == [version.val_file]
    assert second.spec_of_kind.of_step == 20
    assert {each.role for each in first.inputs.all()} == {"data", "reward", "checkpoint"}


def test_from_chooses_artifacts(page: Client, run: Job, home: Path) -> None:
    path = saved(home, 20)[0]
    text = page.get(f"{NEW}?from={artifact_at(Path(path)).pk}").content.decode()
    assert f'value="{path}" selected' in text


def problems(response: Any) -> dict[str, list[str]]:
    context = response.context
    return {} if context is None else {**context["form"].errors}


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"dataset": ""}, "dataset", "Choose a version"),
        ({"dataset": "none@3"}, "dataset", "There is no data set none@3"),
        ({"dataset": "su\0ms"}, "dataset", "No data set is called so"),
        ({"samples": "4"}, "temperature", "give a temperature above 0"),
        ({"top_k": "0"}, "top_k", "-1 is all tokens"),
        ({"way": "tasks", "tasks": "x", "backend": "vllm"}, "backend", "transformers alone"),
        ({"reward_kwargs": '{"a": NaN}'}, "reward_kwargs", "A number is not finite"),
        ({"samples": "9" * 400}, "samples", "Ensure this value is less than or equal"),
        ({"temperature": "nan"}, "temperature", "Enter a number."),
        ({"reward_file": "/etc/passwd"}, "reward_file", ""),
        ({"reward_file": "reward\0.py"}, "reward_file", ""),
        ({"reward_kwargs": "[1]"}, "reward_kwargs", "Write a JSON object"),
        ({"reward_kwargs": "{"}, "reward_kwargs", "valid JSON"),
        ({"models": [], "more_models": ""}, "models", "Choose from 1 to 64 models, not 0."),
        ({"models": [], "more_models": "/nowhere"}, "models", "lies outside the allowed folders"),
        ({"models": [], "more_models": "not a name!"}, "models", "is not a whole path"),
        ({"way": "tasks"}, "tasks", "Name a task"),
        ({"way": "tasks", "task_files": "/nowhere.yaml"}, "task_files", ""),
        ({"way": "loss"}, "dataset", "this way reads conversations (SFT)"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    page: Client, run: Job, version: Version, reward: Path, home: Path,
    fields: dict[str, Any], field: str, said: str,
) -> None:  # fmt: skip
    data = form(saved(home, 10), version, reward_file=str(reward), name="<b>kept</b>") | fields
    response = page.post(NEW, data)
    assert response.status_code == 422
    assert list(problems(response)) == [field]
    assert said in " ".join(problems(response)[field])
    assert 'value="&lt;b&gt;kept&lt;/b&gt;"' in response.content.decode()  # nothing is lost
    assert not evaluations()


def test_verls_own_reward_must_know_the_data_source(
    page: Client, run: Job, version: Version, home: Path
) -> None:
    factories.write_rl_rows(home / "rl.parquet", 2)
    response = page.post(NEW, form(saved(home, 10), version))
    assert "verl has no function of its own" in str(problems(response).get("reward_file"))


def test_a_reward_that_raises_is_said_before_the_start(
    page: Client, run: Job, version: Version, home: Path
) -> None:
    broken = home / "broken.py"
    broken.write_text("def compute_score(**given):\n    raise KeyError('x')\n")
    response = page.post(NEW, form(saved(home, 10), version, reward_file=str(broken)))
    assert "The reward function failed" in str(problems(response)["reward_file"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: [", "is no YAML, at line"), ("- a", "has no line task: NAME"), ("", "has no line"),
        ("task: x\ndataset_kwargs: {data_files: {test: gone.jsonl}}", "gone.jsonl, which is not"),
        ("x: &a [*a]", "no"), ("task: 5", "has no line task: NAME"),
        ("task: !!python/object/apply:os.system [x]", "no"),
    ],
)  # fmt: skip
def test_a_task_file_that_is_none(page: Client, run: Job, home: Path, text: str, said: str) -> None:
    file = home / "task.yaml"
    file.write_text(text)
    data = form(saved(home, 10), None, way="tasks", task_files=str(file))
    response = page.post(NEW, data)
    assert response.status_code == 422
    assert said in " ".join(problems(response)["task_files"])


def test_a_task_file_of_lm_eval(page: Client, run: Job, home: Path) -> None:
    (home / "test.jsonl").write_text("{}\n")
    file = home / "task.yaml"
    file.write_text("task: own\ndataset_kwargs: {data_files: {test: test.jsonl}}\n"
                    "process_docs: !function utils.process\n")  # fmt: skip
    page.post(NEW, form(saved(home, 10), None, way="tasks", task_files=str(file),
                        tasks="arc_easy, hellaswag", few_shot=2))  # fmt: skip
    (job,) = evaluations()
    spec = job.spec_of_kind
    assert (spec.tasks, spec.task_files, spec.few_shot) == (
        ["arc_easy", "hellaswag"], [str(file)], 2,
    )  # fmt: skip


def test_loss_reads_conversations(page: Client, run: Job, home: Path) -> None:
    version = factories.make_version(home / "sft.parquet")
    page.post(NEW, form(saved(home, 10), version, way="loss", part="train"))
    (job,) = evaluations()
    assert job.spec_of_kind.files == [version.train_file]


def test_an_adapter_lies_on_one_model(page: Client, user: User, home: Path) -> None:
    version = factories.make_version(home / "sft.parquet")
    models = [str(model(user, home / "models" / name)) for name in ("a", "b")]
    on = str(adapter(user, home / "adapter"))
    response = page.post(NEW, form(models, version, way="loss", adapter=on))
    assert list(problems(response)) == ["adapter"]
    page.post(NEW, form(models[:1], version, way="loss", adapter=on))
    (job,) = evaluations()
    assert job.spec_of_kind.adapter == on


def test_somebody_elses_checkpoint(client: Client, other: User, run: Job, home: Path) -> None:
    client.force_login(other)
    version = factories.make_version(home / "sft.parquet")
    response = client.post(NEW, form([], version, way="loss", more_models=saved(home, 10)[0]))
    assert "There is no model of yours" in html.unescape(response.content.decode())


def test_the_check_makes_no_job(page: Client, run: Job, home: Path) -> None:
    version = factories.make_version(home / "sft.parquet")
    response = page.post(NEW, form(saved(home, 10), version, way="loss", action="check"))
    assert b"speaks against it" in response.content
    assert not evaluations()


def called(*args: str, **options: Any) -> Any:
    out = StringIO()
    call_command(*args, json=True, stdout=out, stderr=StringIO(), **options)
    return json.loads(out.getvalue())


def test_the_command_takes_an_artifact_or_a_folder(
    user: User, staff: User, run: Job, version: Version, reward: Path, home: Path
) -> None:
    ten, twenty = saved(home, 10, 20)
    on = {"on": "sums@1", "reward": str(reward), "user": staff.username}
    one = called("evaluate", str(artifact_at(Path(ten)).pk), **on)
    assert one["kind"] == "evaluate"
    both = called("evaluate", ten, twenty, **on)
    assert [each["name"] for each in both] == [
        "Evaluation of sums, step 10 on sums@1", "Evaluation of sums, step 20 on sums@1",
    ]  # fmt: skip
    seen = called("evaluate", ten, check=True, **on)
    assert seen["specs"][0]["of_step"] == 10
    with pytest.raises(CommandError, match="There is no whole model or checkpoint 99999"):
        called("evaluate", "99999", **on)
    with pytest.raises(CommandError, match="this way reads conversations"):
        called("evaluate", ten, way="loss", **on)


@pytest.fixture
def theirs(other: User, home: Path) -> Path:
    """A folder of somebody else's run."""
    folder = Path(factories.make_job(other).run_dir)
    folder.mkdir(parents=True)
    (folder / "reward.py").write_text("def compute_score(*a, **b):\n    return 1.0\n")
    (folder / "task.yaml").write_text("task: x\n")
    (folder / "rows.jsonl").write_text("{}\n")
    return folder


@pytest.mark.parametrize("field", ["reward_file", "task_files", "data"])
def test_what_is_somebody_elses_is_not_read(
    page: Client, run: Job, version: Version, home: Path, theirs: Path, field: str
) -> None:
    own = home / "own.yaml"
    own.write_text(f"task: x\ndataset_kwargs: {{data_files: {{test: {theirs}/rows.jsonl}}}}\n")
    data = {
        "reward_file": form(saved(home, 10), version, reward_file=str(theirs / "reward.py")),
        "task_files": form(saved(home, 10), None, way="tasks", task_files=f"{theirs}/task.yaml"),
        "data": form(saved(home, 10), None, way="tasks", task_files=str(own)),
    }[field]  # fmt: skip
    response = page.post(NEW, data)
    assert response.status_code == 422
    (said,) = problems(response).values()
    assert "of yours" in " ".join(said)
    assert not evaluations()


@pytest.mark.parametrize("path", ["/etc/passwd", "/no/such/file", "../../../../../etc/passwd"])
def test_a_task_file_does_not_tell_which_files_there_are(path: str, user: User, home: Path) -> None:
    file = home / "task.yaml"
    file.write_text(f"task: x\ndataset_kwargs: {{data_files: {{test: {path}}}}}\n")
    with pytest.raises(Wrong, match="lies outside the allowed folders"):
        checks.task_files(str(file), local_machine(), partial(open_to, user))


NESTED = "".join(f"{c}: &{c} [*{b}, *{b}, *{b}, *{b}]\n" for b, c in pairwise("abcdefghijklmnop"))
ODD_TASKS = {
    "task: !!bool foo": "is no YAML: KeyError",
    "task: !!timestamp foo": "is no YAML: AttributeError",
    'task: !!int ""': "is no YAML: IndexError",
    "task: x\ndataset_kwargs: {data_files: &a [*a]}": "names too many files",
    f"a: &a x\n{NESTED}task: x\ndataset_kwargs: {{data_files: *p}}": "",
    f"task: x\ndataset_kwargs: {{data_files: {'x' * 300}}}": "it is too long",
}


@pytest.mark.parametrize("text", ODD_TASKS, ids=range(len(ODD_TASKS)))
def test_an_odd_task_file_is_refused_at_once(text: str, user: User, home: Path) -> None:
    file = home / "task.yaml"
    file.write_text(text)
    begun = time.perf_counter()
    with pytest.raises(Wrong) as error:
        checks.task_files(str(file), local_machine(), partial(open_to, user))
    assert error.value.field == "task_files"
    assert ODD_TASKS[text] in str(error.value)
    assert time.perf_counter() - begun < 5


def test_own_tasks_run_here_alone(user: User, home: Path) -> None:
    (home / "task.yaml").write_text("task: x\n")
    far = factories.make_ssh_machine()
    with pytest.raises(Wrong, match="is not sent to"):
        checks.task_files(str(home / "task.yaml"), far, partial(open_to, user))


def test_a_reward_function_is_tried_on_conversations(user: User, home: Path) -> None:
    file = home / "broken.py"
    file.write_text("def compute_score(**given):\n    return given['ground_truth']['x']\n")
    version = factories.make_version(factories.write_sft_rows(home / "sft.parquet", 3))
    with pytest.raises(Wrong, match="The reward function failed"):
        checks.check_reward(str(file), "", {}, version.train_file, "sft", partial(open_to, user))
