"""What ``key=value`` sets."""

import pytest

from jobs.verl.sets import sorted_out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=1e-5", ({"lr": "1e-5"}, [])),
        ("optim.lr=1e-5", ({"lr": "1e-5"}, [])),
        ("lr=", ({"lr": ""}, [])),
        ("optim.num_cycles=0.1", ({}, ["optim.num_cycles=0.1"])),
        ("~optim.num_cycles", ({}, ["~optim.num_cycles"])),
        ("overrides=+a=b", ({}, ["+a=b"])),
        ("machine=box", ({"machine": "box"}, [])),
        ("retries=2", ({}, ["retries=2"])),
    ],
)
def test_a_knob_a_field_or_an_override(text: str, expected: object) -> None:
    assert sorted_out("sft", [text], fields=("machine",)) == expected


def test_the_last_of_two_counts() -> None:
    assert sorted_out("sft", ["lr=1", "optim.lr=2"]) == ({"lr": "2"}, [])
