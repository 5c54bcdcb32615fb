"""The tree of a resolved configuration: states, search, secrets, settings to copy."""

from typing import Any

import pytest

from jobs.verl.configtree import (
    ADDED,
    DEFAULT,
    DIFFERS,
    HIDDEN,
    UNSAID,
    differences,
    found,
    hides,
    leaves_of,
    masked,
    tree_of,
    written,
)
from jobs.verl.overrides import parse

KEYS: dict[str, dict[str, Any]] = {
    "optim.lr": {"default": 1e-6},
    "optim.on": {"default": True},
    "optim.one": {"default": 1},
    "optim.follows": {"default": "${.lr}"},
    "optim.asks": {"default": "${oc.env:HOME}"},
    "model.node": {"default": "${other}"},
    "other.x": {"default": 1},
    "empty": {"default": {}},
}
CONFIG = {
    "optim": {"lr": 0.5, "on": 1, "one": 1.0, "follows": 0.5, "asks": "/root"},
    "model": {"node": {"x": 1, "y": 2}},
    "other": {"x": 1},
    "empty": {},
    "mine": {"list": [1, {"a": None}]},
}


def test_each_value_says_how_it_stands_to_the_default() -> None:
    leaves = {leaf.key: leaf for leaf in leaves_of(CONFIG, KEYS, {"optim.lr": "you"})}
    assert {key: leaf.state for key, leaf in leaves.items()} == {
        "optim.lr": DIFFERS,
        "optim.on": DIFFERS,  # 1 is not true
        "optim.one": DEFAULT,
        "optim.follows": DEFAULT,
        "optim.asks": UNSAID,
        "model.node.x": DEFAULT,
        "model.node.y": ADDED,
        "other.x": DEFAULT,
        "empty": DEFAULT,
        "mine.list": ADDED,
    }
    assert (leaves["optim.lr"].default, leaves["optim.lr"].origin_words) == ("1e-06", "set by you")
    assert {leaf.state for leaf in leaves_of(CONFIG, None, {})} == {UNSAID}


def test_words_are_looked_for_in_keys_and_values() -> None:
    leaves = leaves_of(CONFIG, KEYS, {})
    assert [leaf.key for leaf in found(leaves, "OPTIM root")] == ["optim.asks"]
    assert [leaf.key for leaf in found(leaves, "lr=0.5")] == ["optim.lr"]
    assert [leaf.key for leaf in found(leaves, "optim", only_differing=True)] == [
        "optim.lr",
        "optim.on",
    ]
    assert found(leaves, "nothing") == []


def test_the_tree_counts_what_lies_below() -> None:
    tree = tree_of(leaves_of(CONFIG, KEYS, {}))
    assert (tree.count, tree.differing) == (10, 4)
    assert [leaf.key for leaf in tree.leaves] == ["empty"]
    node = tree.branches["model"].branches["node"]
    assert (node.key, node.name, node.count, node.differing) == ("model.node", "node", 2, 1)


@pytest.mark.parametrize(
    "value",
    [0.5, 3, True, None, "plain", "two words, and 'quotes'", "null", "1e5", [1, "a b", None]],
)
def test_a_setting_is_read_back_by_hydra(value: Any) -> None:
    assert parse(f"a.b={written(value)}").value == value


def test_a_key_that_verl_lacks_needs_a_plus() -> None:
    leaves = {leaf.key: leaf.setting for leaf in leaves_of(CONFIG, KEYS, {})}
    assert leaves["optim.lr"] == "optim.lr=0.5"
    assert leaves["mine.list"] == "+mine.list=[1,{a:null}]"


def test_secrets_are_starred_by_their_name_and_by_their_value() -> None:
    config = {
        "trainer": {"wandb_api_key": "abc", "path": "/runs/s3cret/x", "s3cret": 1},
        "env_vars": {"NCCL_DEBUG": "WARN"},
        "token": 12345, "hf_token": None, "eos_token": "</s>", "max_token_len": 5,
        "prompt_key": "prompt", "auth": {"password": ["a", {"b": "c"}]},
    }  # fmt: skip
    assert masked(config, ["s3cret"]) == {
        "trainer": {"wandb_api_key": HIDDEN, "path": f"/runs/{HIDDEN}/x", HIDDEN: 1},
        "env_vars": {"NCCL_DEBUG": HIDDEN},
        "token": HIDDEN, "hf_token": None, "eos_token": "</s>", "max_token_len": 5,
        "prompt_key": "prompt", "auth": {"password": [HIDDEN, {"b": HIDDEN}]},
    }  # fmt: skip


@pytest.mark.parametrize("name", ["password", "db-password", "API_KEY", "apiKey", "access_token"])
def test_names_that_hide(name: str) -> None:
    assert hides(name)


def test_differences_say_what_one_lacks() -> None:
    assert differences({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "d": 4}) == [
        ("b", "2", "5"),
        ("c", "3", None),
        ("d", None, "4"),
    ]
