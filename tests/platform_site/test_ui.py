import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django import forms
from django.template import Context, RequestContext, Template
from django.test import RequestFactory
from django.utils import timezone

from platform_site.templatetags import ui


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0 B"),
        (512, "512 B"),
        (1023.6, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5_242_880, "5.0 MiB"),
        (44_238_000_000, "41.2 GiB"),
        (137_438_953_472, "128 GiB"),
        (1023.99 * 1024**3, "1.0 TiB"),
        (3 * 1024**5, "3.0 PiB"),
        (2 * 1024**6, "2048 PiB"),
    ],
)
def test_filesize(value: float | None, text: str) -> None:
    assert ui.filesize(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        ("", "\N{EN DASH}"),
        (0, "0.00 USD"),
        (0.00421, "0.0042 USD"),
        (0.1, "0.10 USD"),
        (Decimal("2.1"), "2.10 USD"),
        (1234.5, "1,234 USD"),
    ],
)
def test_money(value: float | Decimal | None, text: str) -> None:
    assert ui.money(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (timedelta(seconds=4.2), "4 s"),
        (timedelta(seconds=-3), "0 s"),
        (timedelta(minutes=12, seconds=40), "12 m 40 s"),
        (timedelta(hours=1, minutes=2, seconds=59), "1 h 02 m"),
        (timedelta(days=3, hours=4), "3 d 04 h"),
        (0.4166, "0.42 s"),
        (4.532, "4.53 s"),
        (9.999, "9 s"),
        (42.9, "42 s"),
    ],
)
def test_duration(value: timedelta | float | None, text: str) -> None:
    assert ui.duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nan"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        ("nan", "nan"),
        (0, "0"),
        (7, "7"),
        (160, "160"),
        (0.42134, "0.4213"),
        (0.001, "0.001"),
        (-0.5, "-0.5"),
        (12.3456, "12.35"),
        (999.94, "999.9"),
        (999.96, "1k"),
        (1300, "1.3k"),
        (12_345, "12.3k"),
        (999_600, "1M"),
        (7_241_728, "7.24M"),
        (6.5e9, "6.5G"),
        (3.2e-6, "3.2e-6"),
        (-3.217e-6, "-3.22e-6"),
        (0.0009999, "1e-3"),
        (1.5e12, "1.5e12"),
    ],
)
def test_number(value: float | str | None, text: str) -> None:
    assert ui.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "\N{EN DASH}"), (0.4, "0 %"), (41.6, "42 %")])
def test_percent(value: float | None, text: str) -> None:
    assert ui.percent(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"),
        (9, "just now"),
        (59, "59 s ago"),
        (60, "1 m ago"),
        (3599, "59 m ago"),
        (7200, "2 h ago"),
        (86_400, "1 d ago"),
        (864_000, "10 d ago"),
    ],
)
def test_ago_words(seconds: float, text: str) -> None:
    assert ui.ago_words(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "in 1 s"), (7380.5, "in 2 h 03 m"), (90_000, "in 1 d 01 h"), (-5, "just now"),
     (-120, "2 m ago")],
)  # fmt: skip
def test_until_words(seconds: float, text: str) -> None:
    assert ui.until_words(seconds) == text


def test_ago_carries_the_exact_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 3, 4, 5, 9, 7, tzinfo=UTC))
    assert ui.ago(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)) == (
        '<time datetime="2026-03-04T05:06:07+00:00" title="2026-03-04 05:06:07 UTC" data-ago>'
        "3 m ago</time>"
    )
    assert ui.ago(None) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("values", "points"),
    [
        ([], ""),
        ([50], "0,12 100,12"),
        ([0, 50, 100], "0,24 50,12 100,0"),
        ([-20, 140], "0,24 100,0"),
    ],
)
def test_sparkline(values: list[float], points: str) -> None:
    assert ui.sparkline(values) == points


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("10%\r20% <b>\n", "20% &lt;b&gt;\n"),
        ("done\r\nnext", "done\nnext"),
        ("\x1b[7mred\x1b[0m plain", "red plain"),
        ("\x1b[38;5;196mx\x1b[K\x1b]0;title\x07y\x1bMz", "xyz"),
        ("a\x1b]8;;http://x\x1b\\b", "ab"),
        ("bell\x07 \x1b", "bell "),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_a_log_is_read_without_its_codes(raw: str, shown: str) -> None:
    assert ui.log_text(raw) == shown


def test_the_script_gets_the_codes_of_a_log() -> None:
    assert ui.log_raw("\x1b[31m<b>\r\n") == "\x1b[31m&lt;b&gt;&#13;\n"
    assert ui.log_raw("plain <b>\n") == ""


def test_lookup_of_what_is_not_there_is_empty() -> None:
    assert ui.lookup({"a": 1}, "a") == 1
    assert ui.lookup({"a": 1}, "b") == ""
    assert ui.lookup(None, "a") == ""


def test_icon_is_decoration_unless_it_is_named() -> None:
    assert ui.icon("stop") == (
        '<svg class="icon" aria-hidden="true"><use href="/static/img/icons.svg#stop"></use></svg>'
    )
    assert 'role="img" aria-label="Stop &lt;it&gt;"' in ui.icon("stop", "Stop <it>")


def test_status_badge_has_icon_and_word() -> None:
    html = Template("{% load ui %}{% status_badge 'lost' %}").render(Context())
    assert html.strip() == (
        '<span class="status" data-status="lost"><svg class="icon" aria-hidden="true">'
        '<use href="/static/img/icons.svg#lost"></use></svg>Lost</span>'
    )


@pytest.mark.parametrize(
    ("sort", "direction", "next_sort"),
    [("-name", "descending", "name"), ("name", "ascending", "-name"), ("kind", "none", "name")],
)
def test_sort_header_turns_the_order_round(sort: str, direction: str, next_sort: str) -> None:
    request = RequestFactory().get("/jobs/", {"q": "a b", "page": "3", "sort": sort})
    shown = ui.sort_header(RequestContext(request, {"request": request, "sort": sort}), "name", "N")
    assert shown["direction"] == direction
    assert shown["query"] == f"q=a+b&sort={next_sort}"


class Knob:
    unset = "verl's default"
    default = "32"


class SomeForm(forms.Form):
    rows = forms.IntegerField(widget=forms.TextInput, required=False, help_text="A step's rows.")
    name = forms.CharField()

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["rows"].knob = Knob()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("text", "changed"), [("32", False), ("64", True), ("", True)])
def test_is_changed_compares_with_the_recipe(text: str, changed: bool) -> None:
    assert ui.is_changed(SomeForm({"rows": text})["rows"]) is changed


def test_a_field_without_a_knob_is_never_changed() -> None:
    assert ui.is_changed(SomeForm({"name": "x"})["name"]) is False


def test_control_is_tied_to_help_error_and_suggestions() -> None:
    html = ui.control(SomeForm({"rows": "many", "name": "x"})["rows"], {"rows": ["32"]})
    assert 'aria-describedby="help-rows error-rows"' in html
    assert 'aria-invalid="true"' in html
    assert 'list="suggestions-rows"' in html
    assert 'placeholder="verl&#x27;s default"' in html


def test_control_of_a_plain_field_adds_nothing_else() -> None:
    html = ui.control(SomeForm({"rows": "1", "name": "x"})["name"])
    assert "aria-invalid" not in html
    assert "list=" not in html
    assert "placeholder" not in html


def test_a_log_keeps_its_colours_without_a_script() -> None:
    raw = "a\x1b[1;31mb<\nc\x1b[0md\n10%\r\x1b[92m20%\x1b[39m!\x1b[38;5;4me\x1b[" + "9" * 5000 + "m"
    shown = (
        'a<span class="ansi-bold ansi-1">b&lt;</span>\n'
        '<span class="ansi-bold ansi-1">c</span>d\n'
        '<span class="ansi-2">20%</span>!e'
    )
    assert ui.log_text(raw) == shown
