"""The recipe of a chain, and what is wrong with one."""

import pytest

from evaluations.steps.reading import LONGEST, read_chain
from evaluations.steps.ready import ready_chains
from evaluations.steps.step import BEST, FORMULA, PARETO, Limit, Source, Wish
from evaluations.steps.values import ChainError

TWO = "steps:\n- {name: sft, train: sample-sft}\n- {name: grpo, train: sample-grpo, model: sft}\n"
EVALUATED = TWO + "- {name: scores, evaluate: [sft, grpo]}\n"


def with_step(step: str) -> str:
    return f"{EVALUATED}- {step}\n"


def test_steps_name_those_before_them() -> None:
    recipe = read_chain(f"name: Two\nmachine: box\n{TWO}")
    assert (recipe.name, recipe.machine) == ("Two", "box")
    sft, grpo = recipe.steps
    assert (sft.verb, sft.of, sft.needs) == ("train", "sample-sft", [])
    assert (grpo.models, grpo.needs) == ([Source(step="sft")], ["sft"])
    assert recipe.step("grpo") is grpo


def test_a_step_without_a_name_is_called_by_what_it_does() -> None:
    assert [step.name for step in read_chain("steps: [{train: a}, {average: train}]").steps] == [
        "train",
        "average",
    ]


def test_values_are_as_a_form_takes_them() -> None:
    step = read_chain(
        "steps: [{train: a, set: {lr: 1e-5, steps: 64, flag: true, files: [a, b]},"
        " over: {seed: [1, 2, 1]}}]"
    ).steps[0]
    assert step.sets == {"lr": "1e-5", "steps": "64", "flag": "true", "files": "a\nb"}
    assert step.over == {"seed": ["1", "2"]}


def test_a_merge_names_the_steps_in_its_text() -> None:
    merged = "  merge: |\n    models: ${sft} ${grpo} ${sft}\n"
    text = f"{TWO}- name: m\n  sweep: t=0.1:0.9:0.4\n{merged}"
    merge = read_chain(text).steps[-1]
    assert merge.models == [Source(step="sft"), Source(step="grpo")]
    assert merge.sweep == "t=0.1:0.9:0.4"


def test_choices_and_gates() -> None:
    choose = read_chain(
        with_step("{name: best, choose: grpo, from: scores, by: score, better: lower, keep: 2}")
    ).steps[-1]
    assert choose.wish == Wish(BEST, "score", higher=False, keep=2)
    assert choose.needs == ["grpo", "scores"]
    formula = read_chain(with_step('{choose: grpo, formula: "score - 2 * kl"}')).steps[-1]
    assert formula.wish == Wish(FORMULA, formula="score - 2 * kl")
    front = read_chain(with_step("{choose: grpo, by: score, less: kl}")).steps[-1]
    assert front.wish == Wish(PARETO, "score", less="kl")
    gate = read_chain(
        with_step("{gate: grpo, from: scores, metric: s, at_least: 0.5, not_worse_than: sft}")
    ).steps[-1]
    assert gate.limit == Limit("s", at_least=0.5, not_worse_than="sft")
    assert gate.needs == ["grpo", "scores", "sft"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no mapping"),
        ("[]", "is no mapping"),
        ("a: [", "The recipe is no YAML"),
        ("steps: []", "has no steps"),
        ("steps: 3", "has no steps"),
        ("stepz: []", "no “stepz”. Did you mean steps?"),
        ("steps: [1]", "Step 1 is no mapping"),
        ("steps: [{}]", "Step 1 does nothing: it has one of train"),
        ("steps: [{train: a, average: b}]", "Step 1 has train and average"),
        ("steps: [{train: 3}]", "train is “3”, and not a text"),
        ("steps: [{train: ''}]", "names a recipe"),
        ("steps: [{name: A, train: a}]", "The name of step 1 is “A”"),
        ("steps: [{name: 3, train: a}]", "The name of step 1 is “3”"),
        ("steps: [{train: a}, {train: b}]", "There are two steps train"),
        ("steps: [{train: a, modle: b}]", "no “modle”. Did you mean model?"),
        ("steps: [{train: a, model: b}]", "model names “b”, and no step before it"),
        ("steps: [{average: sft}, {name: sft, train: a}]", "no step before it has that name"),
        ("steps: [{train: a, model: ../x}]", "no step before it has that name"),
        ("steps: [{train: a, set: 3}]", "set is no mapping"),
        ("steps: [{train: a, set: {lr: }}]", "lr is “None”, and not a text or a number"),
        ("steps: [{train: a, set: {3: 4}}]", "the key “3”, which is no name"),
        ("steps: [{train: a, over: {lr: 3}}]", "is a list of 1 to 50 values"),
        ("steps: [{train: a, over: {lr: []}}]", "is a list of 1 to 50 values"),
        (f"steps: [{{train: a, over: {{a: {[*range(9)]}, b: {[*range(9)]}}}}}]", "more than 50"),
        ("steps: [{models: x}]", "“x” is no whole path"),
        ("steps: [{models: []}]", "names 0 models"),
        ("steps: [{merge: 3}]", "merge is the text of a recipe"),
        ("steps: [{merge: '${x}'}]", "merge names “x”"),
        ("steps: [{merge: a, sweep: t}]", "is no range"),
        ("name: [a]\nsteps: [{train: a}]", "The name of the recipe is"),
        (f"name: {'x' * 200}\nsteps: [{{train: a}}]", "has 200 characters; 150 are the most"),
        (f"# {'x' * LONGEST}", "100000 are the most"),
        ("name: 'a\0b'\nsteps: [{train: a}]", "a character that no text has"),
        (f"steps: {[{'name': f's{nr}', 'train': 'a'} for nr in range(51)]}", "has 51 steps"),
        (with_step("{choose: grpo}"), "chooses by: a metric, or by a formula"),
        (with_step("{choose: grpo, by: a, formula: b}"), "chooses by: a metric, or by a formula"),
        (with_step("{choose: grpo, formula: 'print(1)'}"), "may not be called"),
        (with_step("{choose: grpo, by: a, keep: 0}"), "keep is “0”"),
        (with_step("{choose: grpo, by: a, keep: true}"), "keep is “True”"),
        (with_step("{choose: grpo, by: a, better: up}"), "better is “up”"),
        (with_step("{choose: scores, by: a}"), "which evaluates and makes no model"),
        (with_step("{choose: grpo, by: a, from: sft}"), "sft, which evaluates nothing"),
        (with_step("{gate: grpo, metric: a}"), "asks for nothing that can fail"),
        (with_step("{gate: grpo, at_least: 1}"), "has no metric"),
        (with_step("{gate: grpo, metric: a, at_least: x}"), "at_least is “x”, and not a number"),
        (with_step("{gate: grpo, metric: a, at_least: .nan}"), "at_least is “nan”"),
        (with_step("{gate: grpo, metric: a, at_least: 1, margin: -1}"), "not below 0"),
        (with_step("{gate: grpo, metric: a, at_least: 1, margin: 1}"), "goes with not_worse_than"),
        (with_step("{gate: grpo, metric: a, better_than: sft}"), "from names the step"),
        (with_step("{choose: grpo, by: a, among: steps}"), "among is “steps”, and not checkpoints"),
        (with_step("{choose: grpo, by: a, among: checkpoints, from: scores}"), "it has no from"),
        (
            "steps: [{models: /m}, {choose: models, by: a, among: checkpoints}]",
            "models is no training, so it has no checkpoints",
        ),
        ("steps: [{models: /m}, {adapter: models}]", "models is no training"),
        (with_step("{lora: /a}"), "base names the model that the adapters were trained on"),
        (with_step("{lora: [], base: /b}"), "has 0 adapters"),
        (with_step("{lora: grpo, base: sft}"), "lora names grpo, which leaves no adapter. A step"),
        ("name: ''\nsteps: [{train: a}]", "not a line of printable characters"),
        ("steps: [{models: '/*'}]", "“/*” is no whole path"),
        (
            with_step(
                "{gate: grpo, metric: a, from: scores, better_than: sft, not_worse_than: sft}"
            ),
            "one of not_worse_than and better_than",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str, sentence: str) -> None:
    with pytest.raises(ChainError) as caught:
        read_chain(text)
    assert sentence in str(caught.value)


def test_adapters_and_checkpoints() -> None:
    text = f"{TWO}- {{name: own, adapter: grpo}}\n- {{name: best, choose: own, by: a}}\n"
    lora = read_chain(f"{text}- {{lora: [best, /a/other], base: sft}}\n").steps[-1]
    assert lora.models == [Source(step="sft"), Source(step="best"), Source(path="/a/other")]
    assert lora.needs == ["sft", "best"]
    gated = f"{TWO}- {{name: g, gate: grpo, metric: a, at_least: 1}}\n"
    step = read_chain(f"{gated}- {{choose: g, among: checkpoints, by: a}}\n").steps[-1]
    assert step.wish == Wish(BEST, "a", checkpoints=True)
    assert step.reads_checkpoints


def test_all_that_are_ready_can_be_read() -> None:
    ready = ready_chains()
    assert sorted(ready) == ["models-of-a-folder", "sft-grpo-average", "sweep-of-merges"]
    for each in ready.values():
        assert read_chain(each.text).about == each.about != ""
