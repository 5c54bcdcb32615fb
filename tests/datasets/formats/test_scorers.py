"""Which data sources verl has scorers for. That verl agrees is tested in tests/node."""

import pytest

from datasets.formats.scorers import DATA_SOURCES, scorer_of


@pytest.mark.parametrize(
    ("source", "scorer"),
    [
        ("openai/gsm8k", "gsm8k"),
        ("lighteval/MATH", "math_reward"),
        ("math", "math_dapo"),
        ("aime24", "math_dapo"),
        ("taco", "prime_code"),
        ("gsm8k", None),
        ("OPENAI/GSM8K", None),
        ("", None),
    ],
)
def test_scorer_of(source: str, scorer: str | None) -> None:
    assert scorer_of(source) == scorer


def test_no_data_source_has_two_scorers() -> None:
    assert len(set(DATA_SOURCES)) == len(DATA_SOURCES) == 25


def test_known_sources_know_the_prefixes() -> None:
    assert "aime2025" in DATA_SOURCES
    assert "aime2025" not in list(DATA_SOURCES)
    assert "mine" not in DATA_SOURCES
    assert None not in DATA_SOURCES
