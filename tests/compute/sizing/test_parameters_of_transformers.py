"""The count of each known family equals that of transformers' own class.

``tests/node/parameter_counts.py`` counted them, and a test beside it counts them again.
"""

from pathlib import Path
from typing import Any

import orjson

from compute.sizing.facts import read_facts
from compute.sizing.families import FAMILIES
from compute.sizing.parameters import parameters_of

COUNTED: list[dict[str, Any]] = orjson.loads(
    Path(__file__).with_name("transformers_counts.json").read_bytes()
)


def test_every_known_family_was_counted() -> None:
    assert {one["config"]["model_type"] for one in COUNTED} == set(FAMILIES)
    assert len(FAMILIES) >= 50


def test_every_count_is_that_of_transformers() -> None:
    assert [wrong for one in COUNTED if (wrong := difference(one))] == []


def difference(one: dict[str, Any]) -> dict[str, Any]:
    found = parameters_of(read_facts(one["config"]))
    ours = {
        "total": found.total,
        "embedding": found.embedding,
        "layers": [layer.total for layer in found.layers],
        "experts": sum(layer.experts for layer in found.layers),
    }
    wrong = {key: (value, one[key]) for key, value in ours.items() if value != one[key]}
    return {"config": one["config"], **wrong} if wrong else {}
