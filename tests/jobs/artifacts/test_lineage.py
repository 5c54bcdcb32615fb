"""What led to an artifact and what came of it, as trees, for those who may see it."""

import json

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.artifacts.lineage import Node, lineage
from jobs.models import Artifact, Job, JobInput, Status
from tests import factories

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]


def made(job: Job, step: int) -> Artifact:
    factories.keep_checkpoints(job, {step: 5})
    return job.artifacts.get(step=step)


def reads(job: Job, artifact: Artifact, role: str = "model") -> None:
    JobInput.objects.create(job=job, artifact=artifact, role=role)


def run(user: User, name: str) -> Job:
    return factories.make_job(user, name=name, status=Status.COMPLETED)


@pytest.fixture
def chain(user: User) -> list[Artifact]:
    """A base model, then three runs, each on the checkpoint of the one before."""
    base = Artifact.objects.create(kind="huggingface", name="Qwen/Qwen3-8B", owner=user)
    found = [base]
    for number in (1, 2, 3):
        job = run(user, f"run {number}")
        reads(job, found[-1])
        found.append(made(job, number))
    return found


def told(node: Node) -> list[str]:
    """The names in the tree, each level's after those above it."""
    names = [node.row.name if node.is_job else str(node.row)]
    for each in node.more:
        names += told(each)
    return names


def test_up_and_down(chain: list[Artifact]) -> None:
    assert told(lineage(chain[3], "up").root) == [
        "checkpoint of step 3", "run 3", "checkpoint of step 2", "run 2", "checkpoint of step 1",
        "run 1", "Qwen/Qwen3-8B",
    ]  # fmt: skip
    assert told(lineage(chain[1], "down").root)[:5] == [
        "checkpoint of step 1", "run 2", "checkpoint of step 2", "run 3"
    ]  # fmt: skip
    last = lineage(chain[1], "down").root.more[0].more[0].more[0]
    assert last.unread == {"checkpoint": 1}  # of others it is said how many nothing has read


def test_many_parents_with_roles(user: User, chain: list[Artifact]) -> None:
    job = run(user, "merged")
    reads(job, chain[1], "critic")
    reads(job, chain[2])
    up = lineage(job, "up").root
    assert [(each.row, each.role) for each in up.more] == [
        (chain[1], "critic"), (chain[2], "model to train")
    ]  # fmt: skip
    repeated = [node for node in walk(up) if node.is_repeated]
    assert [node.row for node in repeated] == [chain[1]]
    assert repeated[0].more == []


def walk(node: Node) -> list[Node]:
    return [node, *(one for each in node.more for one in walk(each))]


def test_what_is_yet_to_be_made(user: User) -> None:
    first, heir = run(user, "first"), factories.make_job(user, name="heir", status=Status.QUEUED)
    JobInput.objects.create(job=heir, source=first, role="model")
    assert told(lineage(heir, "up").root) == ["heir", "first"]
    assert told(lineage(first, "down").root) == ["first", "heir"]


def test_a_circle_ends(user: User, chain: list[Artifact]) -> None:
    assert chain[1].job is not None
    reads(chain[1].job, chain[3])
    assert len(walk(lineage(chain[3], "up").root)) == 8


def test_of_others_nothing_is_shown(user: User, other: User, chain: list[Artifact]) -> None:
    theirs = run(other, "theirs")
    reads(theirs, chain[0])
    assert told(lineage(chain[0], "down", other).root) == ["Qwen/Qwen3-8B", "theirs"]
    assert "theirs" not in told(lineage(chain[0], "down", user).root)
    assert "theirs" in told(lineage(chain[0], "down").root)


def test_queries_do_not_grow_with_the_width(user: User, chain: list[Artifact]) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            lineage(chain[0], "down", user)
        return len(captured)

    before = count()
    for number in range(5):
        job = run(user, f"more {number}")
        reads(job, chain[0])
        made(job, number)
    assert count() == before


def test_command(chain: list[Artifact], capsys: pytest.CaptureFixture[str]) -> None:
    call_command("lineage", str(chain[2].pk), "--json")
    data = json.loads(capsys.readouterr().out)
    [job] = data["made_from"]["more"]
    assert (job["is"], job["name"], job["more"][0]["role"]) == ("job", "run 2", "model to train")
    assert data["made_from_it"]["more"][0]["name"] == "run 3"
    call_command("lineage", f"job:{chain[2].job_id}")
    text = capsys.readouterr().out
    assert f"  artifact {chain[1].pk}: checkpoint of step 1 of job" in text
    for wrong in ("x", "job:x", "99999", "run:1"):
        with pytest.raises(CommandError):
            call_command("lineage", wrong)
