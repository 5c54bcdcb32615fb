"""The glossary against the source of the verl that is installed beside these tests."""

import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from jobs.verl.glossary import Wrong, entries, meaning

FOUND = find_spec("verl")  # to import it takes long
SOURCE = Path(FOUND.origin).parent if FOUND and FOUND.origin else Path()
# What trainers of a run write into its metrics; other folders are of other programs.
FOLDERS = ("trainer/ppo", "workers", "utils/debug")
PREFIXES = "actor|critic|perf|training|response_length|response|prompt_length|num_turns|rollout"
NAME = re.compile(rf'"((?:{PREFIXES})/[\w/.@()]+)"')
NONE = {"rollout/moe", "training/filter_groups/filtered_reward_counts"}  # a prefix, and a table
WRONG = [wrong for entry in entries() for wrong in entry.wrong if version("verl") in wrong.releases]


def test_every_name_that_the_source_spells_out_has_an_entry() -> None:
    files = [path for folder in FOLDERS for path in (SOURCE / folder).rglob("*.py")]
    names = {name for path in files for name in NAME.findall(path.read_text())} - NONE

    assert len(names) > 60
    assert sorted(name for name in names if meaning(name) is None) == []


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.line)
def test_the_line_that_computes_a_metric_wrongly_is_there(wrong: Wrong) -> None:
    assert wrong.line in (SOURCE / wrong.file).read_text()


def test_this_release_has_metrics_that_are_computed_wrongly() -> None:
    assert len(WRONG) >= 4
