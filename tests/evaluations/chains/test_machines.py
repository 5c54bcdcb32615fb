"""Chains over several machines: the model of a training is sent, all else runs where models lie."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from compute.machines.local import local_machine
from compute.models import Machine
from evaluations.chains import services
from evaluations.steps.reading import read_chain
from tests import factories
from tests.evaluations.chains.runs import TWO, ended, job_of, moved, part, started, states
from tests.surgery.models import model

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue", "samples"),
]  # fmt: skip


@pytest.fixture
def box(db: None) -> Machine:
    return factories.make_ssh_machine(name="box", python="/opt/python")


def problems(text: str, user: User) -> list[str]:
    return [str(each) for each in services.checked(text, user).problems]


def test_a_training_has_its_model_sent(user: User, box: Machine) -> None:
    chain = started(TWO.replace("model: sft", "model: sft, machine: box"), user)
    first = job_of(chain, "sft")
    assert first.machine == local_machine()
    ended(first)
    moved(chain)
    second = job_of(chain, "grpo")
    assert (second.machine, second.after) == (box, first)
    assert [each.source for each in second.awaited] == [first]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("- {name: e, convert: sft, machine: box, set: {dtype: bfloat16}}",
         "Step e: It would run on box, and the models of the step sft lie on this machine: leave "
         "its machine out, and it runs there."),
        ("- {name: best, choose: sft, by: score, machine: box}\n"
         "- {name: e, average: best, machine: box}",
         "Step e: It would run on box, and the models of the step best lie on this machine: leave "
         "its machine out, and it runs there."),
        ("- {name: far, train: sample-sft, machine: box}\n"
         "- name: e\n  merge: |\n    merge_method: linear\n"
         "    models: [{model: '${sft}'}, {model: '${far}'}]\n    parameters: {weight: 1}\n",
         "Step e: The models of one merge lie on one machine, and these lie on box and this "
         "machine."),
    ],
    ids=["convert", "average", "merge"],
)  # fmt: skip
def test_a_step_away_from_its_models_is_known_before_the_start(
    user: User, box: Machine, more: str, said: str
) -> None:
    text = f"name: Far\nsteps:\n- {{name: sft, train: sample-sft}}\n{more}\n"
    read_chain(text)
    assert said in problems(text, user)


def test_a_step_that_names_no_machine_runs_where_its_models_lie(user: User, box: Machine) -> None:
    text = (
        "steps:\n- {name: far, train: sample-sft, machine: box}\n"
        "- {name: best, choose: far, by: score}\n"
        "- {name: e, convert: best, set: {dtype: bfloat16}}\n"
    )
    assert problems(text, user) == []
    same = text.replace("convert: best,", "convert: best, machine: box,")
    assert problems(same, user) == []


def test_models_at_paths_lie_on_the_machine_that_their_step_names(
    user: User, box: Machine, home: Path
) -> None:
    model(user, home / "there", box)
    text = (
        f"steps:\n- {{name: two, models: [/far/one, {home}/there], machine: box}}\n"
        "- {name: small, convert: two, set: {dtype: bfloat16}}\n"
        "- {name: other, convert: /far/two, machine: box, set: {dtype: bfloat16}}\n"
    )
    chain = started(text, user)
    assert part(chain, "two").machine == box
    labels = [each.label for each in chain.parts.filter(step="two").order_by("nr")]
    assert labels == ["one", "made there"]  # the folder, or the job that made it
    assert states(chain) == {"two": "completed", "small": "running", "other": "running"}
    made = [job_of(chain, "small", 1), job_of(chain, "small", 2), job_of(chain, "other")]
    assert {job.machine for job in made} == {box}
    same = started("steps: [{name: two, models: [/far/a/one, /far/b/one], machine: box}]", user)
    labels = [each.label for each in same.parts.order_by("nr")]
    assert labels == ["/far/a/one", "/far/b/one"]
    here = f"steps: [{{name: two, models: [{home}/there]}}]"
    assert "lies on box and not on this machine" in problems(here, user)[0]
