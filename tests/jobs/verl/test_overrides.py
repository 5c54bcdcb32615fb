import math

import pytest

from jobs.verl.overrides import Override, below, parse, write_value
from jobs.verl.spec import Value

HOSTILE = [
    "plain",
    "/data/a b/train.parquet",
    "it's",
    'say "so"',
    "'",
    "''",
    "\\",
    "\\'",
    "a\\",
    "a\\\\",
    "c:\\new\\table",
    "${oc.env:HOME}",
    "\\${oc.env:HOME}",
    "$HOME `id` $(id)",
    "x'; touch pwned #",
    "../../up",
    "größe 日本語 🚂",
    "line\nbreak",
    "tab\tstop",
    " leading and trailing ",
    "a,b",
    "[q_proj, v_proj]",
    "[a",
    "{a:1}",
    "a=b",
    "a:b",
    "null",
    "true",
    "No",
    "on",
    "1",
    "1e5",
    "1_000",
    "0x10",
    "nan",
    "-inf",
    "~",
    "+a",
    "@x",
    "#",
    "choice(a,b)",
    "range(1,3)",
    "(a)",
    "%",
    "a*b?",
    "!",
    "&|<>;",
    "\u2028",
    "?",
    "c:\\new\\${a}\\",
    "\\\\\\${a}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hydra_reads_back_the_very_text(text: str) -> None:
    override = parse(f"model.path={write_value(text)}")
    assert override.key == "model.path"
    assert unescaped(override.value) == text


def unescaped(value: str) -> str:
    """OmegaConf, which comes after the parser, reads an escaped interpolation as text."""
    from omegaconf import OmegaConf

    config = OmegaConf.create({"value": value})
    read = config.value
    assert isinstance(read, str)
    return read


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a${b}c", "${", "\\${oc.env:HOME}", "\\\\${a}"])
def test_no_text_reaches_an_interpolation(text: str) -> None:
    value = parse(f"a={write_value(text)}").value
    assert unescaped(value) == text


def test_empty_text_is_quoted() -> None:
    assert write_value("") == "''"
    assert parse("a=''").value == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (64, "64"),
        (-1, "-1"),
        (1e-6, "1e-06"),
        (0.001, "0.001"),
        (1e22, "1e+22"),
        ("/data/train.parquet", "/data/train.parquet"),
        ("low_var_kl", "low_var_kl"),
        ("null", "'null'"),
        ("12", "'12'"),
        ("it's", "'it\\'s'"),
        ("[q_proj,v_proj]", "[q_proj,v_proj]"),
        ("a b", "'a b'"),
    ],
)
def test_written_value(value: Value, text: str) -> None:
    assert write_value(value) == text


@pytest.mark.parametrize(
    "value", [True, False, 0, -1, 10**12, 1e-6, 0.1 + 0.2, 1e22, 5e-324, 1e300]
)
def test_numbers_come_back_with_their_type(value: Value) -> None:
    read = parse(f"a={write_value(value)}").value
    assert read == value
    assert type(read) is type(value)


def test_a_list_that_the_user_wrote_stays_a_list() -> None:
    assert parse(f"a={write_value('[q_proj,v_proj]')}").value == ["q_proj", "v_proj"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optim.lr=1e-5", Override("optim.lr", 1e-5, False, False, "optim.lr=1e-5")),
        ("+a.b=[1,2]", Override("a.b", [1, 2], True, False, "+a.b=[1,2]")),
        ("++a.b=c", Override("a.b", "c", True, False, "++a.b=c")),
        ("~a.b", Override("a.b", None, False, True, "~a.b")),
        ("a='x y'", Override("a", "x y", False, False, "a='x y'")),
        ("a=null", Override("a", None, False, False, "a=null")),
        ("a={b:1}", Override("a", {"b": 1}, False, False, "a={b:1}")),
    ],
)
def test_parsed(text: str, expected: Override) -> None:
    assert parse(text) == expected


def test_not_a_number_is_read() -> None:
    assert math.isnan(parse("a=nan").value)


@pytest.mark.parametrize(
    "text", ["optim.lr=1e-5,1e-6", "a=choice(1,2)", "a=range(1,3)", "a=glob(*)"]
)
def test_a_sweep_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"lists several values; a list is written \[a,b\]"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["", "optim.lr", "=1", "a='x", "--config-path=/etc", "-m", "a b=1"]
)
def test_what_is_no_override_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not key=value") as caught:
        parse(text)
    assert str(caught.value).startswith(f"'{text}' is not key=value: ")
    assert "\n" not in str(caught.value)


def test_what_stands_below_a_node() -> None:
    lines = ["+a.b.c=1", "+a.b.d.e='x y'", "a.bb=2", "~a.b.f", "junk", "+a.b={g: ['h'], c: 3}"]
    assert below(lines, "a.b") == {"c": 3, "d": {"e": "x y"}, "g": ["h"]}
    assert below(["+a.b.c=1", "+a.b.c.d=2"], "a.b") == {"c": {"d": 2}}
    assert below([], "a.b") == {}
