import tomllib
from typing import Any

import pytest

from jobs.verl.toml import write_toml


def test_what_a_recipe_holds() -> None:
    data = {"kind": "sft", "values": {"lr": 1e-06, "epochs": 2}, "overrides": ["a=1", "b=[x,y]"]}
    assert write_toml(data) == (
        'kind = "sft"\noverrides = ["a=1", "b=[x,y]"]\n\n[values]\nlr = 1e-06\nepochs = 2\n'
    )


@pytest.mark.parametrize(
    "value",
    [
        *("", "plain", 'a "quoted" \\ word', "two\nlines\ttab", "\x7f\x01", "größe 🚂", "{home}/x"),
        *(True, False, 0, -1, 2**31, 1e22, 1e-06, 0.1, [], ["a", "b"]),
    ],
)
def test_python_reads_back_what_was_written(value: Any) -> None:
    assert tomllib.loads(write_toml({"a": value, "t": {"b": value}})) == {
        "a": value,
        "t": {"b": value},
    }
