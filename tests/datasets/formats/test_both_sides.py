"""The node has no code of the platform: what both must do alike is written twice, compared here."""

import json
import subprocess
import sys
from itertools import product
from typing import Any

from datasets.formats import jsontext, turns
from tests.fakes import NODE

ASK = """
import json, sys
from trainyard_node.hooks import absent
values, turns = json.load(sys.stdin)
json.dump([absent.MARKS, [absent.pruned(v) for v in values],
           [absent.is_masked(t) for t in turns]], sys.stdout)
"""
VALUES: list[Any] = [
    None, 0, 1, 0.0, "", "text", True, False, [], {}, [None], [None, 1], {"a": None},
    {"a": {"b": None, "c": [{"d": None, "e": 2}]}}, [[{"a": None}], {"b": 0}], {"a": ""},
]  # fmt: skip


def test_both_sides_prune_alike_and_leave_the_same_turns_out_of_training() -> None:
    marked = [
        {"role": "assistant", "content": "yes", mark: value}
        for mark, value in product(turns.MARKS, (None, 0, 1, False, True, 0.0, 1.0))
    ]
    told = subprocess.check_output(
        [sys.executable, "-c", ASK],
        input=json.dumps([VALUES, marked]),
        env={"PYTHONPATH": str(NODE)},
        text=True,
    )
    assert json.loads(told) == [
        list(turns.MARKS),
        [jsontext.pruned(value) for value in VALUES],
        [not turns.is_trained(turn) for turn in marked],
    ]
