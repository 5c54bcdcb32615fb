"""What ``key=value`` sets, as commands take it: a knob, or an override of verl's."""

from collections.abc import Collection, Iterable

from jobs.verl.knobs import find


def sorted_out(
    kind: str, texts: Iterable[str], fields: Collection[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """The text of each knob, and of each of ``fields``, that is set, by its name; and the
    overrides.

    A key is a knob's name or its Hydra key; any other becomes an override.
    """
    values: dict[str, str] = {}
    overrides = []
    for text in texts:
        key, _, value = text.partition("=")
        knob = find(kind, key)
        if knob or key in fields:
            values[knob.name if knob else key] = value
        else:
            overrides.append(value if key == "overrides" else text)
    return values, overrides
