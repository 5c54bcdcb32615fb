"""Every knob of every kind: its keys are verl's, and setting it changes what runs."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jobs.order.knob_fields import knob_field
from jobs.process import Placement
from jobs.verl.algorithms import ALGORITHMS
from jobs.verl.command import build_command
from jobs.verl.knobs import BY_NAME, COMMAND, KNOBS, Knob, find, knobs_of
from jobs.verl.overrides import Override, parse
from jobs.verl.schema import load
from jobs.verl.spec import TrainSpec, Value
from jobs.verl.unread import unread_in
from tests.factories import spec_of
from tests.together import ask_all

SCHEMA = Path(__file__).resolve().parents[3] / "environments"
ACTOR = "actor_rollout_ref.actor"
# The command holds these only together with another.
TOGETHER: dict[str, dict[str, Value]] = {
    "overlong_penalty": {"overlong_buffer": 4},
    "variant": {"variant": "grpo"},
}
PLACEMENT = Placement("/runs/attempt-1", "/venv/bin/python", "a-run")
once_parsed = cache(parse)  # most of them stand in every command
Case = tuple[str, Knob]
EVERY: list[Case] = [(kind, knob) for kind in ALGORITHMS for knob in knobs_of(kind)]
HELD = sum(kind in ALGORITHMS for knob in KNOBS for kind in knob.keys)


def of_every_knob(check: Callable[[str, Knob], None]) -> None:
    """One check for each knob of each kind, as many as there are; all that fail are told."""
    told = ask_all(EVERY, lambda case: check(*case), lambda case: f"{case[1].name} of {case[0]}")
    assert told == HELD > 300, "each knob of each kind is tried once"


def test_verl_has_every_key_of_the_knob() -> None:
    def check(kind: str, knob: Knob) -> None:
        keys = [key for key in knob.keys[kind] if key != COMMAND]
        assert all(load(SCHEMA, kind).takes(key, adds=True) for key in keys), keys

    of_every_knob(check)


def test_verls_default_is_of_the_knobs_type() -> None:
    def check(kind: str, knob: Knob) -> None:
        for key in knob.keys[kind]:
            if key != COMMAND:
                value: object = another(knob, None)
                value = [value] if knob.type is list else value
                adds = key not in load(SCHEMA, kind).keys
                override = Override(key, value, adds=adds, removes=False, text="")
                assert load(SCHEMA, kind).problem(override) is None

    of_every_knob(check)


def test_setting_the_knob_changes_the_command() -> None:
    def check(kind: str, knob: Knob) -> None:
        together: dict[str, Any] = TOGETHER.get(knob.name, {})
        before = spec_of(kind, **together)
        after = TrainSpec(
            kind, {**before.values, knob.name: another(knob, before.values.get(knob.name))}
        )
        assert argv_of(after) != argv_of(before)

    of_every_knob(check)


def test_what_was_set_is_what_hydra_reads() -> None:
    def check(kind: str, knob: Knob) -> None:
        value = another(knob, spec_of(kind).values.get(knob.name))
        wanted = str(value).split(",") if knob.type is list else value
        if knob.offset:
            wanted = int(value) + knob.offset
        argv = argv_of(TrainSpec(kind, {**spec_of(kind).values, knob.name: value}))
        read = {
            override.key: override.value
            for override in map(once_parsed, argv[first_override(argv) :])
        }
        unread = {each.node for each in unread_in(TrainSpec(kind))}
        for key in knob.keys[kind]:
            if key != COMMAND:
                assert read.get(key) == (None if key in unread else wanted)

    of_every_knob(check)


def test_an_unset_knob_is_left_to_verl() -> None:
    def check(kind: str, knob: Knob) -> None:
        values = {name: value for name, value in spec_of(kind).values.items() if name != knob.name}
        command = build_command(TrainSpec(kind, values), PLACEMENT, dict.fromkeys(BY_NAME, "you"))
        by_hand = {setting.key for setting in command.settings if setting.origin == "you"}
        others = {
            key for other in knobs_of(kind) if other.name in values for key in other.keys[kind]
        }
        assert by_hand.isdisjoint(set(knob.keys[kind]) - others)

    of_every_knob(check)


def another(knob: Knob, value: Value | None) -> Value:
    """A legal value that is not this one."""
    if knob.choices:
        return next(choice for choice in knob.choices if choice != value)
    if knob.type is bool:
        return not value
    if knob.type is int:
        return int(value or 1) + 1
    if knob.type is float:
        return float(value or 0.2) / 2
    return "/somewhere/else"


def argv_of(spec: TrainSpec) -> tuple[str, ...]:
    return build_command(spec, PLACEMENT, {}).argv


def first_override(argv: tuple[str, ...]) -> int:
    return next(place for place, part in enumerate(argv) if "=" in part and part[0] != "-")


def test_no_two_knobs_share_a_name_or_a_key() -> None:
    assert len(BY_NAME) == len(KNOBS)
    for kind in ALGORITHMS:
        knobs = [knob for knob in knobs_of(kind) if knob.name != "clip_ratio"]  # sets both halves
        keys = [key for knob in knobs for key in knob.keys[kind] if key != COMMAND]
        assert len(keys) == len(set(keys))


def test_the_narrower_knob_wins_over_one_that_sets_more() -> None:
    spec = spec_of("grpo", clip_ratio=0.2, clip_ratio_high=0.28)
    settings = {
        setting.key: setting.text for setting in build_command(spec, PLACEMENT, {}).settings
    }
    assert settings[f"{ACTOR}.clip_ratio_low"] == f"{ACTOR}.clip_ratio_low=0.2"
    assert settings[f"{ACTOR}.clip_ratio_high"] == f"{ACTOR}.clip_ratio_high=0.28"
    assert find("grpo", f"{ACTOR}.clip_ratio_high") is BY_NAME["clip_ratio_high"]
    assert find("grpo", f"{ACTOR}.clip_ratio") is BY_NAME["clip_ratio"]


def test_every_knob_says_what_it_does() -> None:
    assert [knob.name for knob in KNOBS if not knob.help or not knob.label] == []


def test_only_ppos_form_speaks_of_two_models() -> None:
    for name in ("lr_schedule", "warmup_ratio", "min_lr_ratio", "weight_decay", "lora_rank"):
        knob = BY_NAME[name]
        assert knob.help_of("sft") == knob.help_of("grpo") == knob.help
        assert "actor" not in knob.help
        assert "critic" not in knob.help
        shown = knob_field(knob, "ppo", None)
        assert shown.help_text in (
            f"{knob.help} This is the actor's.",
            f"{knob.help} The critic is trained whole in any case.",
        )
        assert shown.knob.help == shown.help_text  # type: ignore[attr-defined]


def test_a_knob_is_found_by_name_and_by_key() -> None:
    assert find("sft", "lr") is BY_NAME["lr"]
    assert find("grpo", "actor_rollout_ref.actor.optim.lr") is BY_NAME["lr"]
    assert find("sft", "rollout_n") is None
    assert find("sft", "actor_rollout_ref.actor.optim.lr") is None


def test_the_actor_learns_from_the_step_after_the_critics_own() -> None:
    """verl updates the actor in each step that is not below ``trainer.critic_warmup``."""
    for steps, first in ((0, 1), (1, 2), (5, 6)):
        assert f"trainer.critic_warmup={first}" in argv_of(spec_of("ppo", critic_warmup=steps))
