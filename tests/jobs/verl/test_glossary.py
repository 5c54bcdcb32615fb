"""The glossary against the names that runs log. ``logged/`` holds those of real runs of the five
samples with verl 0.9.1; ``tests/node/test_glossary.py`` reads verl's own source."""

from pathlib import Path

import pytest

from jobs.verl.algorithms import ALGORITHMS
from jobs.verl.glossary import FOLDER, entries, found, meaning
from jobs.verl.key_metrics import KEY_METRICS
from jobs.verl.releases import RELEASES
from jobs.verl.timing import PARTS

LOGGED = Path(__file__).parent / "logged"


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_every_name_that_a_real_run_logs_has_an_entry(kind: str) -> None:
    names = (LOGGED / f"{kind}.txt").read_text().split()

    assert len(names) > 10
    assert [name for name in names if meaning(name) is None] == []


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_the_metrics_that_stand_first_and_the_parts_of_steps_have_an_entry_of_their_own(
    kind: str,
) -> None:
    names = [*KEY_METRICS[kind], *(part.metric for part in PARTS[kind])]

    assert [n for n in names if not (entry := meaning(n)) or "timing_s/*" in entry.names] == []


def test_a_name_stands_in_one_entry_only() -> None:
    names = [name for entry in entries() for name in entry.names]

    assert sorted(set(names)) == sorted(names)


def test_the_entry_that_says_most_is_found() -> None:
    for name, title in {
        "val-core/openai/gsm8k/acc/mean@4": "Validation score",
        "val-core/openai/gsm8k/acc/best@4/mean": "Best of N in validation",
        "val-aux/a/b/acc_success_only/mean@1": "Accuracy without answers that failed",
        "val-aux/gsm8k/length/mean@1": "A part of the reward in validation",
        "timing_s/agent_loop/num_preempted/max": "Facts of single answers",
        "timing_s/agent_loop/tool_calls/max": "Time of single answers",
        "timing_s/something_new": "Time of a part",
    }.items():
        entry = meaning(name)
        assert entry is not None
        assert entry.title == title


@pytest.mark.parametrize("name", ["", "mine", "criticscore/mean", "critic/score/median", "x\ny"])
def test_what_is_not_verls_has_no_entry(name: str) -> None:
    assert meaning(name) is None


def test_search_finds_names_words_and_knobs_in_a_release() -> None:
    def titles(words: str, release: str = "") -> list[str]:
        return [entry.title for entry in found(words, release)]

    assert "Norm of the gradient" in titles("gradient clipping norm")
    assert titles("val-core/gsm8k/reward/mean@1")[0] == "Validation score"
    assert "Entropy of the policy" in titles("entropy_coeff")
    assert titles("trajectory_staleness", "0.9.1") == ["Age of the answers"]
    assert titles("trajectory_staleness", "0.7.1") == []
    assert titles("no such zebra") == []
    assert len(found()) == len(entries())


def test_what_an_entry_says_is_whole_sentences() -> None:
    for entry in entries():
        said = (entry.means, entry.healthy, entry.is_not, *(wrong.why for wrong in entry.wrong))
        assert all(text and text[0].isupper() | text[0].isdigit() for text in said), entry.names
        assert all(text.endswith(".") for text in said), entry.names


def test_every_file_is_read() -> None:
    assert len(list(FOLDER.iterdir())) == 6
    assert {release for entry in entries() for release in entry.releases} == set(RELEASES)
