"""The words of one release in those of another, held against the dumped schemas."""

import json
from pathlib import Path

import pytest

from jobs.verl.algorithms import ALGORITHMS
from jobs.verl.knobs import COMMAND, knobs_of
from jobs.verl.releases import (
    BEFORE_09,
    CHANGES,
    ENVIRONMENTS,
    LACKS,
    RELEASES,
    Translation,
    left_to,
    refusal,
    translate,
)
from jobs.verl.renames import MOVED, below, under_another_name
from jobs.verl.schema import folder_name, load
from jobs.verl.spec import LATEST

FILTER = "algorithm.filter_groups.enable"
LOG_PROBS = "actor_rollout_ref.rollout.calculate_log_probs"


def test_each_release_has_its_folder_whose_dumps_say_so() -> None:
    assert RELEASES[-1] == LATEST
    for release in RELEASES:
        folder = ENVIRONMENTS / folder_name(release)
        assert (folder / "lock.txt").is_file()
        assert (folder / "requirements.txt").is_file()
        kinds = [kind for kind in ALGORITHMS if not refusal(kind, release)]
        assert {load(ENVIRONMENTS, kind, release).verl for kind in kinds} == {release}
        dumped = {path.stem for path in (folder / "schema").glob("*.json")}
        assert dumped == {ALGORITHMS[kind].config for kind in kinds}


@pytest.mark.parametrize("release", RELEASES)
def test_a_lock_pins_what_the_requirements_name(release: str) -> None:
    folder = ENVIRONMENTS / folder_name(release)
    locked = set(pins(folder / "lock.txt"))
    assert f"verl=={release}" in locked
    assert set(pins(folder / "requirements.txt")) <= locked


def pins(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line.lower().replace("[vllm]", "") for line in lines if line]


@pytest.mark.parametrize(
    ("key", "kind", "release", "expected"),
    [
        ("actor_rollout_ref.actor.optim.lr", "grpo", "0.7.1", "actor_rollout_ref.actor.optim.lr"),
        ("critic.fsdp.dtype", "ppo", "0.7.1", "critic.model.fsdp_config.dtype"),
        ("critic.fsdp.dtype", "ppo", "0.8.0", "critic.fsdp.dtype"),
        ("critic.fsdp", "ppo", "0.7.1", "critic.model.fsdp_config"),
        ("critic.fsdp.mixed_precision", "ppo", "0.7.1", "critic.model.fsdp_config.mixed_precision"),
        ("skip.rollout_tq.enable", "grpo", "0.8.0", "actor_rollout_ref.rollout.skip.enable"),
        ("skip.rollout_tq.dump_dir", "grpo", "0.7.1", "actor_rollout_ref.rollout.skip_dump_dir"),
        ("reward.num_workers", "grpo", "0.7.1", "reward.num_workers"),
        ("reward.reward_kwargs.max_resp_len", "grpo", "0.7.1", "reward.reward_kwargs.max_resp_len"),
        ("ray_kwargs.ray_init.num_gpus", "grpo", "0.8.0", "ray_kwargs.ray_init.num_gpus"),
        ("hydra.run.dir", "sft", "0.7.1", "hydra.run.dir"),
        ("model.override_config.attn_implementation", "sft", "0.8.0",
         "model.override_config.attn_implementation"),
        (FILTER, "grpo", "0.9.1", FILTER),
        ("dpo.beta", "dpo", "0.9.1", "dpo.beta"),
    ],
)  # fmt: skip
def test_a_key_in_the_words_of_a_release(key: str, kind: str, release: str, expected: str) -> None:
    assert translate(key, kind, release) == Translation(expected)


@pytest.mark.parametrize(
    ("key", "kind", "release", "reason"),
    [
        (FILTER, "grpo", "0.8.0",
         f"verl 0.8.0 has no {FILTER}: its trainer never drops groups. Leave dynamic sampling out, "
         "or run verl 0.9.1."),
        ("actor_rollout_ref.model.lora.merge", "grpo", "0.7.1",
         "verl 0.7.1 has no actor_rollout_ref.model.lora.merge: set LoRA by lora_rank and "
         "lora_alpha."),
        ("trainer.checkpoint_callback_class", "ppo", "0.8.0",
         "verl 0.8.0 has no trainer.checkpoint_callback_class: it came with 0.9.1. Leave it out, "
         "or run verl 0.9.1."),
        ("trainer.balance_batch", "sft", "0.7.1",
         "verl 0.7.1 has no trainer.balance_batch: it came with 0.8.0. Leave it out, or run verl "
         "0.8.0."),
        ("trainer.nope", "sft", "0.8.0", "verl 0.8.0 has no trainer.nope: no release has."),
        ("dpo.beta", "dpo", "0.7.1",
         "verl 0.7.1 cannot run DPO: the DPO trainer is made for verl 0.9's model engine; "
         "run verl 0.9.1."),
    ],
)  # fmt: skip
def test_a_key_that_a_release_lacks(key: str, kind: str, release: str, reason: str) -> None:
    assert translate(key, kind, release) == Translation(None, reason)


def test_an_unknown_release_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"There is no verl 0\.6\.1 here\. There are: 0\.7\.1, "):
        translate("optim.lr", "sft", "0.6.1")


@pytest.mark.parametrize(
    ("kind", "release", "device", "words"),
    [
        ("sft", "0.7.1", "cuda", None),
        ("grpo", "0.9.1", "cpu", None),
        ("dpo", "0.9.1", "cpu", None),
        ("dpo", "0.8.0", "cuda", "verl 0.9's model engine"),
        ("sft", "0.8.0", "cpu", "plug-in points of verl 0.9"),
        ("sft", "1.0", "cuda", "no verl 1.0 here"),
    ],
)
def test_what_a_release_can_run(kind: str, release: str, device: str, words: str | None) -> None:
    said = refusal(kind, release, device)
    assert said is None if words is None else words in str(said)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("kind", ALGORITHMS)
def test_every_knob_has_a_key_in_each_release_or_a_reason(kind: str, release: str) -> None:
    refused = {
        knob.name
        for knob in knobs_of(kind)
        for key in knob.keys[kind]
        if key != COMMAND and translate(key, kind, release).key is None
    }
    if refusal(kind, release):
        assert {knob.name for knob in knobs_of(kind) if knob.key(kind) != COMMAND} == refused
    elif release in BEFORE_09 and kind in ("grpo", "gspo"):
        assert refused == {"filter_groups", "filter_metric"}
    else:
        assert refused == set()


@pytest.mark.parametrize("release", RELEASES)
def test_every_name_of_a_moved_setting_is_the_releases_own(release: str) -> None:
    schemas = [load(ENVIRONMENTS, kind, release) for kind in ("sft", "ppo")]
    for moved in MOVED:
        name = moved.names.get(release)
        assert (
            name is None
            or any(schema.takes(name, adds=True) for schema in schemas)
            or (any(schema.is_open(f"{name}.x") for schema in schemas))
        ), name


def test_a_name_leads_there_and_back() -> None:
    older, newer = "critic.model.fsdp_config.seed", "critic.fsdp.seed"
    assert under_another_name(older, "0.9.1") == newer
    assert under_another_name(newer, "0.7.1") == older
    assert under_another_name("critic.fsdp_size", "0.7.1") is None


@pytest.mark.parametrize("release", RELEASES)
def test_the_table_of_changes_has_the_defaults_of_the_dumps(release: str) -> None:
    schemas = [load(ENVIRONMENTS, kind, release) for kind in ("ppo", "sft")]
    for change in CHANGES:
        known = next(s.keys[change.key] for s in schemas if change.key in s.keys)
        assert known["default"] == change.defaults[release], change.key


def test_every_changed_default_of_a_knob_is_in_the_table() -> None:
    """A knob left empty must not come to mean something else without a word."""
    told = {change.key for change in CHANGES}
    for kind in ("sft", "ppo", "grpo", "gspo"):
        keys = [key for knob in knobs_of(kind) for key in knob.keys[kind] if key != COMMAND]
        newest = load(ENVIRONMENTS, kind).keys
        for release in BEFORE_09:
            older = load(ENVIRONMENTS, kind, release).keys
            for key in keys:
                name = translate(key, kind, release).key
                if (
                    name is None or name not in older or key not in newest
                ):  # a field without a default
                    continue
                if older[name]["default"] != newest[key]["default"]:
                    assert key in told, (key, release)


def test_what_a_release_lacks_is_not_in_its_dump() -> None:
    for lacks in LACKS:
        for release in lacks.releases:
            folder = ENVIRONMENTS / folder_name(release) / "schema"
            dumps = [json.loads(path.read_text()) for path in folder.glob("*.json")]
            keys = [key for dump in dumps for key in dump["keys"]]
            assert [key for key in keys if below(key, lacks.node)] == [], (lacks.node, release)


def test_rollout_log_probs_changed_with_the_newest_release() -> None:
    [change] = [change for change in CHANGES if change.key == LOG_PROBS]
    assert dict(change.defaults) == {"0.7.1": False, "0.8.0": False, "0.9.1": True}


def test_a_default_that_changed_is_told_where_the_command_leaves_it() -> None:
    key = "actor_rollout_ref.rollout.max_num_seqs"
    [told] = [words for words in left_to("0.8.0", "grpo", []) if words.startswith(key)]
    assert told == (
        f"{key} is left to verl 0.8.0, where it is 1024; in 0.9.1 it is 256. "
        "Sequences in one engine at once: 0.9 holds a quarter of them."
    )
    assert [words for words in left_to("0.8.0", "grpo", [key]) if words.startswith(key)] == []
    assert not [words for words in left_to("0.8.0", "sft", []) if words.startswith("critic.")]
    assert list(left_to("0.9.1", "ppo", [])) == []
    assert list(left_to("0.8.0", "dpo", [])) == []  # it cannot run there at all
