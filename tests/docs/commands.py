"""The commands of ``manage.py``, as they are and as the documentation tells of them."""

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from tests.docs.book import SPAN, Page
from tests.docs.code import ROOT

OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
ITEM = re.compile(r"- `([^`]+)`")
SHARED = "--json"  # the option that the commands have together; said once
DJANGOS = {action.dest for action in BaseCommand().create_parser("", "")._actions}


@dataclass(frozen=True)
class Usage:
    """A command, or one verb of it: ``options`` are given with all their spellings; ``choices``
    are what its arguments without a name may be.
    """

    options: tuple[frozenset[str], ...]
    choices: frozenset[str]


@cache
def known_commands() -> dict[str, Usage]:
    """Every command of Trainyard's own, by its name; one with verbs once for each verb."""
    apps = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").is_file()}
    found: dict[str, Usage] = {}
    for name, app in get_commands().items():
        if isinstance(app, str) and app.split(".")[0] in apps:
            parser = load_command_class(app, name).create_parser("manage.py", name)
            found |= dict(_usages(name, parser))
    return found


def _usages(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, Usage]]:
    own = [action for action in parser._actions if action.dest not in DJANGOS]
    verbs = [action for action in own if isinstance(action, argparse._SubParsersAction)]
    for action in verbs:
        for verb, below in action.choices.items():
            yield from _usages(f"{name} {verb}", below)
    if not verbs:
        options = tuple(frozenset(one.option_strings) for one in own if one.option_strings)
        choices = {str(it) for one in own if not one.option_strings for it in one.choices or ()}
        yield name, Usage(options, frozenset(choices))


def commands(page: Page, known: Mapping[str, Usage]) -> Iterator[str]:
    """Compare the lines ``- `name …` what it does`` with the commands that there are."""
    found = filter(None, (ITEM.match(line) for line in page.prose))
    said: dict[str, list[str]] = {}
    for text in (" ".join(item[1].split()) for item in found):
        said.setdefault(_command_in(text, known), []).append(text)
    for text in said.get("", ()):
        yield f"There is no command {_first(text)!r}: {text}"
    for name, usage in known.items():
        mine = said.get(name, [])
        yield from _usage(name, usage, mine) if mine else [f"The command {name!r} is missing."]
    yield from _sharing(page, known)


def _command_in(usage: str, known: Iterable[str]) -> str:
    """The longest name that a usage begins with: ``dataset import`` before ``dataset``."""
    fitting = [name for name in known if f"{usage} ".startswith(f"{name} ")]
    return max(fitting, key=len, default="")


def _usage(name: str, usage: Usage, said: list[str]) -> Iterator[str]:
    text = " ".join(said)
    named = set(OPTION.findall(text)) - {SHARED}
    own = [one for one in usage.options if SHARED not in one]
    for spellings in own:
        if not spellings & named:
            yield f"The command {name!r} has {'/'.join(sorted(spellings))}, which is missing."
    for option in sorted(named - {spelling for one in own for spelling in one}):
        yield f"The command {name!r} has no {option}."
    for choice in sorted(usage.choices - set(re.split(r"[^\w-]+", text))):
        yield f"The command {name!r} takes {choice!r}, which is missing."


def _sharing(page: Page, known: Mapping[str, Usage]) -> Iterator[str]:
    """The paragraph that says that all commands have the shared option names those without it."""
    told = next((text for text in page.prose if f"`{SHARED}`" in text), "")
    named = set(SPAN.findall(told)) & set(map(_first, known))
    without = {name for name, usage in known.items() if not _shares(usage)}
    for name in sorted(without ^ named):
        yield f"Whether {name!r} takes {SHARED} is said wrongly."


def _shares(usage: Usage) -> bool:
    return any(SHARED in spellings for spellings in usage.options)


def _first(text: str) -> str:
    return text.split(" ", maxsplit=1)[0]


def calls(page: Page, known: Mapping[str, Usage], targets: Iterable[str]) -> Iterator[str]:
    """What a page tells its reader to type: ``manage.py …``, ``make …``, ``python -m …``."""
    for line in [*page.shell, *page.spans]:
        if found := re.search(r"\bmanage\.py (\w.*)", line):
            yield from _typed(found[1], known)
        if (found := re.match(r"make ([\w-]+)", line)) and found[1] not in targets:
            yield f"There is no make {found[1]}."
        if found := re.search(r"python -m (tests[\w.]*)", line):
            yield from () if _is_module(found[1]) else [f"There is no module {found[1]}."]


def _typed(text: str, known: Mapping[str, Usage]) -> Iterator[str]:
    name = _command_in(text, known)
    if not name:
        if _first(text) not in map(_first, known):
            yield f"There is no command in manage.py {text}"
        return
    has = {spelling for one in known[name].options for spelling in one}
    for option in sorted(set(OPTION.findall(text)) - has):
        yield f"The command {name!r} has no {option}."


def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()
