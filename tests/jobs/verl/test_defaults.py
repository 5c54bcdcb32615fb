"""What verl's defaults stand for in a run, as OmegaConf says it."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from jobs.verl.defaults import UNKNOWN, absolute, found_at, stands_for

SCHEMAS = sorted(Path(__file__).resolve().parents[3].glob("environments/verl-*/schema/*.json"))
CONFIG = {"a": {"b": 7, "off": False, "none": None, "text": "x", "must": "???"}, "top": "t"}


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_each_default_of_verl_stands_for_what_omegaconf_says(path: Path) -> None:
    keys = json.loads(path.read_text())["keys"]
    nested: dict[str, Any] = {}
    for key, known in keys.items():
        *names, leaf = key.split(".")
        node = nested
        for name in names:
            node = node.setdefault(name, {})
        node[leaf] = known["default"]
    resolved: Any = OmegaConf.to_container(OmegaConf.create(nested), resolve=True)
    followed = 0
    for key, known in keys.items():
        found = stands_for(known["default"], key, resolved)
        said = found_at(resolved, key)
        if said is not UNKNOWN:
            assert found == said, key
            followed += "${" in str(known["default"])
    assert followed > 0


@pytest.mark.parametrize(
    ("default", "value"),
    [
        ("${a.b}", 7),
        ("${.text}", "x"),
        ("${..top}", "t"),
        ("${oc.select:a.off,true}", False),
        ("${oc.select:a.gone,[1, 2]}", [1, 2]),
        ("${oc.select:a.gone}", None),
        ("${oc.select:a.must,5}", 5),
        ("${oc.select:a.gone,${a.b}}", 7),
        ("at/${a.text}/${a.b}/${a.none}", "at/x/7/null"),
        ([1, "${a.b}"], [1, "${a.b}"]),
        ("${oc.env:HOME}", UNKNOWN),
        ("${a.gone}", UNKNOWN),
        ("${oc.select:a.gone,[}", UNKNOWN),
        ("${a.b", UNKNOWN),
        ("${a.b}" * 30, UNKNOWN),
    ],
)
def test_an_interpolation_is_followed_or_unknown(default: Any, value: Any) -> None:
    assert stands_for(default, "a.key", CONFIG) == value


def test_a_value_of_the_run_is_never_evaluated() -> None:
    config = {"a": {"b": "${oc.env:HOME}"}}
    assert stands_for("${a.b}", "k", config) == "${oc.env:HOME}"
    assert stands_for("in ${a.b}", "k", config) is UNKNOWN


def test_dots_lead_up() -> None:
    assert absolute("..x.y", "a.b.c") == "a.x.y"
    assert absolute("...........x", "a.b") == "x"
