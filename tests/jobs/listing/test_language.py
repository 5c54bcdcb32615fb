"""The filter language by itself: no database."""

from datetime import datetime, timedelta

import pytest

from jobs.listing.language.reading import (
    MOST_METRICS,
    All,
    Comparison,
    Not,
    Some,
    Tree,
    propose,
    read,
)
from jobs.listing.language.vocabulary import (
    CHOICE,
    FLAG,
    NUMBER,
    SPAN,
    TEXT,
    TIME,
    Field,
    Vocabulary,
)
from jobs.listing.language.words import LONGEST, NotRead, quoted

FIELDS = (
    Field("name", TEXT),
    Field("algorithm", CHOICE, choices=("sft", "grpo")),
    Field("lr", NUMBER),
    Field("duration", SPAN),
    Field("created", TIME),
    Field("pinned", FLAG),
)
METRICS = ("val-core", "val-core/gsm8k/acc/mean@1", "train/loss", "odd name")
WORDS = Vocabulary(
    {field.name: field for field in FIELDS},
    METRICS.count,
    METRICS,
    lambda name: "Nobody knows." if name == "odd name" else "",
)


def is_(name: str, operator: str, *values: object, figure: str = "") -> Comparison:
    return Comparison(name, figure, operator, values)  # type: ignore[arg-type]


GRPO, LOW = is_("algorithm", "=", "grpo"), is_("lr", "<", 1e-5)
SCORE = is_("val-core", ">", 0.4, figure="last")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", None),
        ("  ", None),
        ("algorithm = grpo and lr < 1e-5 and val-core > 0.4", All((GRPO, LOW, SCORE))),
        ("algorithm=GRPO AND lr<1e-5", All((GRPO, LOW))),
        ("algorithm = grpo or lr < 1e-5 and val-core > .4", Some((GRPO, All((LOW, SCORE))))),
        ("(algorithm = grpo or lr < 1e-5) and val-core > 0.4", All((Some((GRPO, LOW)), SCORE))),
        ("not lr < 1e-5 and algorithm = grpo", All((Not(LOW), GRPO))),
        ("not not (lr < 0.00001)", Not(Not(LOW))),
        ("val-core/gsm8k/acc/mean@1>=-1", is_(METRICS[1], ">=", -1.0, figure="last")),
        ("best(val-core) > 0.4", is_("val-core", ">", 0.4, figure="best")),
        ("LOW ( train/loss ) < 2", is_("train/loss", "<", 2.0, figure="low")),
        ('"odd name" = 1', is_("odd name", "=", 1.0, figure="last")),
        ('name ~ "a b, and (c)"', is_("name", "~", "a b, and (c)")),
        ('name = "and"', is_("name", "=", "and")),
        ("algorithm in (sft, grpo)", is_("algorithm", "in", "sft", "grpo")),
        ("lr in (1e-5)", is_("lr", "in", 1e-5)),
        ("duration > 2h", is_("duration", ">", timedelta(hours=2))),
        ("created >= 2026-11-01", is_("created", ">=", datetime(2026, 11, 1))),
        ("created > 7d", is_("created", ">", timedelta(days=7))),
        ("created < 0s", is_("created", "<", timedelta())),
        ("duration < 10000d", is_("duration", "<", timedelta(days=10_000))),
        ("pinned = yes", is_("pinned", "=", True)),
        ("pinned != no", is_("pinned", "!=", False)),
    ],
)
def test_a_filter_is_read(text: str, tree: Tree | None) -> None:
    assert read(text, WORDS) == tree


@pytest.mark.parametrize(
    ("text", "wrong", "why", "possible"),
    [
        ("algoritm = grpo", "algoritm", "no field and no metric algoritm", ["algorithm"]),
        ("algorithm = gpro", "gpro", "gpro is no value of algorithm: 2 words", ["sft", "grpo"]),
        ("lr < fast", "fast", "fast is no value of lr: a number", []),
        ("lr < 1_0", "1_0", "a number", []),
        ("lr < nan", "nan", "a number", []),
        ("lr < 1e999", "1e999", "a number", []),
        ("lr <", "", "A value is missing", []),
        ("lr", "", "lr is compared here, by = !=", ["=", "!=", "<", "<=", ">", ">=", "in"]),
        ("lr ~ 1", "~", "lr is not compared by ~, but by", ["="]),
        ("created = 2026-11-01", "=", "created is not compared by =", ["<", "<=", ">", ">="]),
        ("lr < 1 lr < 2", "lr", "After a comparison comes and or or, not lr", ["and", "or"]),
        ("lr < 1 and", "", "Here a field or a metric is named", ["name", "lr", "not", "("]),
        ("or lr < 1", "or", "Here a field or a metric is named, not or", ["name"]),
        ("(lr < 1", "", "A parenthesis is not closed", ["and", "or", ")"]),
        ("lr < 1)", ")", "After a comparison comes and or or", ["and"]),
        ("algorithm in grpo", "grpo", "values in parentheses", ["("]),
        ("algorithm in (grpo", "", "is not closed", [",", ")"]),
        ("best(lr) > 1", "lr", "no field and no metric lr", ["lr"]),
        ('best("odd name") > 1', '"odd name"', "Nobody knows.", ["low", "high"]),
        ("best(val-core > 1", ">", "behind the metric is not closed", [")"]),
        ('name = "open', '"', "This quote is not closed", []),
        ("duration > 5", "5", "a length of time", []),
        ("created > tomorrow", "tomorrow", "a date such as", []),
        ("created > 10001d", "10001d", "a time ago", []),
        ("created > 1969-12-31", "1969-12-31", "the years 1970 to 9000", []),
        ("created > 9001-01-01", "9001-01-01", "the years 1970 to 9000", []),
        ("duration > 1429w", "1429w", "at most 10000d", []),
        (f"duration > {'9' * 400}d", "9" * 400 + "d", "at most 10000d", []),
        ("not " * 30 + "lr < 1", "not", "in each other", []),
        ("(" * 30 + "lr < 1", "(", "in each other", []),
        (" and ".join(["lr < 1"] * 60), "lr", "at most 50 comparisons", []),
        ("train/loss > 1 or " * 10 + "val-core > 1", "val-core", "compares metrics at most 10", []),
        (f"lr in ({','.join('1' * 51)})", "1", "After in come at most 50 values", [")"]),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    text: str, wrong: str, why: str, possible: list[str]
) -> None:
    with pytest.raises(NotRead) as caught:
        read(text, WORDS)
    error = caught.value
    assert (text[error.at : error.end], why in str(error)) == (wrong, True), str(error)
    assert set(possible) <= set(error.possible)


def test_a_filter_is_no_longer_than_a_thousand_characters() -> None:
    with pytest.raises(NotRead, match="at most 1000"):
        read("lr < 1 " + " " * LONGEST, WORDS)


def test_the_words_of_a_filter_stand_for_so_many_metrics_in_all() -> None:
    words = Vocabulary(
        {}, {"few": 1, "many": MOST_METRICS - 1, "more": MOST_METRICS + 1}.__getitem__
    )
    assert read("few > 1 and many > 1", words)
    for text, wrong in (("few > 1 and few < 2 and many > 1", "many"), ("high(more) > 1", "more")):
        with pytest.raises(NotRead, match=f"stand for {MOST_METRICS + 1} metrics") as caught:
            read(text, words)
        assert text[caught.value.at : caught.value.end] == wrong


@pytest.mark.parametrize(
    ("text", "at", "first"),
    [
        ("", 0, "name"),
        ("al", 0, "algorithm"),
        ("algorithm ", 10, "="),
        ("algorithm = ", 12, "sft"),
        ("algorithm = g", 12, "grpo"),
        ("algorithm = grpo ", 17, "and"),
        ("algorithm = grpo a", 17, "and"),
        ("algorithm = grpo and val", 21, "val-core"),
        ("not ", 4, "name"),
        ("(lr < 1 ", 8, "and"),
        ("best(tr", 5, "train/loss"),
        ('"odd', 0, '"odd name"'),
        ("pinned = ", 9, "yes"),
    ],
)
def test_what_can_come_next(text: str, at: int, first: str) -> None:
    found = propose(text, WORDS)
    assert (found.at, found.words[0]) == (at, first)


@pytest.mark.parametrize("text", ["lr < 1 lr ", "nonsense = ", 'name = "a" "b', "lr < "])
def test_nothing_is_proposed_where_nothing_is_known(text: str) -> None:
    assert propose(text, WORDS).words == ()


def test_words_that_need_quotes_get_them() -> None:
    assert [quoted(word) for word in ("grpo", "a b", "and", "mean@1")] == [
        "grpo",
        '"a b"',
        '"and"',
        "mean@1",
    ]
