"""Template filters and tags for words, numbers and small drawings."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.conf import settings
from django.forms import BoundField
from django.template import RequestContext
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from platform_site.counts import money_text, size_text
from platform_site.terminal import coloured, plain

register = template.Library()

MISSING = "\N{EN DASH}"


@register.filter
def filesize(value: float | None) -> str:
    """Bytes in binary units: ``41.2 GiB``."""
    return size_text(value) if isinstance(value, int | float) else MISSING


@register.filter
def duration(value: timedelta | float | None) -> str:
    """A length of time in its two largest units: ``12 m 40 s``, ``1 h 02 m``.

    A plain number is seconds and keeps its fraction below ten seconds.
    """
    if value is None:
        return MISSING
    if not isinstance(value, timedelta) and value < 9.995:
        return f"{value:.2f} s"
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    total = max(0, int(seconds))
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02d} h"
    if hours:
        return f"{hours} h {minutes:02d} m"
    return f"{minutes} m {rest:02d} s" if minutes else f"{rest} s"


@register.filter
def number(value: float | str | None) -> str:
    """A number in few characters: ``1.3k``, ``0.4213``, ``3.2e-6``; None reads as nan."""
    if value is None:
        return "nan"
    figure = float(value)
    if not math.isfinite(figure):
        return str(figure)
    size = abs(figure)
    if size == 0:
        return "0"
    if size < 0.001 or size >= 999.5e9:
        mantissa, exponent = f"{figure:.2e}".split("e")
        return f"{_trim(mantissa)}e{int(exponent)}"
    for limit, unit in ((999.5e6, "G"), (999.5e3, "M"), (999.95, "k")):
        if size >= limit:
            return _significant(figure / {"G": 1e9, "M": 1e6, "k": 1e3}[unit], 3) + unit
    return _significant(figure, 4)


def _significant(figure: float, digits: int) -> str:
    """Round to so many significant digits, without an exponent or trailing zeros."""
    before_point = math.floor(math.log10(abs(figure))) + 1
    return _trim(f"{figure:.{max(0, digits - before_point)}f}")


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def percent(value: float | None) -> str:
    """``42 %``, or a dash when there is no measurement."""
    # A template passes an empty string when there is no measurement at all.
    return f"{value:.0f} %" if isinstance(value, int | float) else MISSING


@register.filter
def share(value: float) -> str:
    """The size of a part of one, whatever its sign: ``4 %``, ``0.3 %``."""
    size = abs(100 * value)
    return f"{size:.0f} %" if size >= 1 or size == 0 else f"{size:.1g} %"


@register.filter
def money(value: float | Decimal | None) -> str:
    """An amount in the site's currency: ``2.10 USD``; a dash where none is known."""
    if not isinstance(value, float | int | Decimal):
        return MISSING
    return money_text(float(value), settings.TRAINYARD_CURRENCY)


@register.filter
def ago(moment: datetime | None) -> str | SafeString:
    """Time since a moment; the markup and the tooltip hold the exact time."""
    if moment is None:
        return MISSING
    seconds = (timezone.now() - moment).total_seconds()
    exact = timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z")
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        moment.isoformat(timespec="seconds"),
        exact,
        ago_words(seconds),
    )


def ago_words(seconds: float) -> str:
    """Words for a moment so many seconds ago; static/js/format.js uses the same words."""
    if seconds < 10:
        return "just now"
    for size, unit, below in ((1, "s", 60), (60, "m", 3600), (3600, "h", 86400)):
        if seconds < below:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds // 86400)} d ago"


@register.filter
def until(moment: datetime | None) -> str | SafeString:
    """Time until a moment, or since it; the markup and the tooltip hold the exact time."""
    if moment is None:
        return MISSING
    exact = timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z")
    return format_html(
        '<time datetime="{}" title="{}" data-until>{}</time>',
        moment.isoformat(timespec="seconds"),
        exact,
        until_words((moment - timezone.now()).total_seconds()),
    )


def until_words(seconds: float) -> str:
    """Words for a moment so many seconds ahead; static/js/format.js uses the same words."""
    return f"in {duration(timedelta(seconds=seconds))}" if seconds > 0 else ago_words(-seconds)


@register.filter
def sparkline(values: Iterable[float]) -> str:
    """Points of a polyline for values from 0 to 100, in a box of 100 by 24."""
    heights = [24 - max(0.0, min(100.0, value)) * 0.24 for value in values]
    if len(heights) == 1:
        heights *= 2
    last = max(1, len(heights) - 1)
    return " ".join(f"{100 * at / last:g},{height:g}" for at, height in enumerate(heights))


@register.filter
def log_text(text: str) -> SafeString:
    """Terminal output for a ``<pre>``, with its colours, for a browser without JavaScript."""
    pieces = ((_ansi(styles), piece) for piece, styles in coloured(text))
    return mark_safe(  # noqa: S308  # each piece is escaped
        "".join(
            format_html('<span class="{}">{}</span>', *p) if p[0] else escape(p[1]) for p in pieces
        )
    )


def _ansi(styles: str) -> str:
    return " ".join(f"ansi-{name}" for name in styles.split())


@register.filter
def log_raw(text: str) -> SafeString:
    """The same with its codes, for the script that shows colours; empty where it has none.

    A browser would read a bare carriage return as a newline.
    """
    if plain(text) == text:
        return SafeString()
    return mark_safe(escape(text).replace("\r", "&#13;"))  # noqa: S308  # escaped just before


@register.filter
def lookup(mapping: Mapping[str, Any] | None, key: str) -> Any:
    """The value under a key that is held in a template variable; empty when there is none."""
    return (mapping or {}).get(key, "")


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One symbol of the sprite. It is decoration, unless a label names it."""
    href = f"{static('img/icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>', label, href
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"></use></svg>', href)


@register.inclusion_tag("components/status.html")
def status_badge(status: str, label: str = "") -> dict[str, str]:
    """A status as an icon, a word and a colour."""
    return {"status": status, "label": label or status.capitalize()}


@register.inclusion_tag("components/sort_header.html", takes_context=True)
def sort_header(
    context: RequestContext, field: str, label: str, css: str = "", target: str = "#jobs-table"
) -> dict[str, str]:
    """A column head that sorts ``target``; a second click reverses the order."""
    current = str(context.get("sort", ""))
    direction = {field: "ascending", f"-{field}": "descending"}.get(current, "none")
    query = context["request"].GET.copy()
    query["sort"] = f"-{field}" if direction == "ascending" else field
    query.pop("page", None)
    return {
        "label": label,
        "direction": direction,
        "query": query.urlencode(),
        "css": css,
        "target": target,
    }


@register.filter
def is_changed(field: BoundField) -> bool:
    """Whether a knob's text differs from its recipe's; false for other fields."""
    knob = getattr(field.field, "knob", None)
    value = field.value()
    text = ",".join(value) if isinstance(value, list) else str("" if value is None else value)
    return knob is not None and text != knob.default


@register.filter
def is_warned(field: BoundField) -> bool:
    """Whether the form may warn of what a field holds."""
    return hasattr(type(field.form), "warnings")


@register.simple_tag
def control(
    field: BoundField, suggestions: Mapping[str, Sequence[str]] | None = None
) -> SafeString:
    """A field's input, linked to its help, error, warning and suggestions."""
    slots = ("help", "error", "warning") if is_warned(field) else ("help", "error")
    attributes: dict[str, str | bool] = {
        "aria-describedby": " ".join(f"{slot}-{field.name}" for slot in slots)
    }
    if field.errors:
        attributes["aria-invalid"] = "true"
    knob = getattr(field.field, "knob", None)
    if knob and not field.field.required:
        attributes["placeholder"] = knob.unset
    if suggestions and suggestions.get(field.name):
        attributes["list"] = f"suggestions-{field.name}"
    shown = SafeString()
    if field.field.show_hidden_initial:
        # Without this Django names the id of a help text that is called otherwise here.
        shown = field.as_hidden({"aria-describedby": f"help-{field.name}"}, only_initial=True)
    return field.as_widget(attrs=attributes) + shown
