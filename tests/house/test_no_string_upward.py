"""A lower app names nothing of a higher one, neither in a string nor through a reverse relation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps

from tests.house.tree import APPS, ROOT, modules

# Compute and datasets are siblings: they do not know each other either.
ABOVE = {
    "compute": ("datasets", "jobs", "surgery", "evaluations", "monitoring"),
    "datasets": ("compute", "jobs", "surgery", "evaluations", "monitoring"),
    "evaluations": ("monitoring",),
    "jobs": ("surgery", "evaluations", "monitoring"),
    "platform_site": ("compute", "datasets", "jobs", "surgery", "evaluations", "monitoring"),
    "surgery": ("evaluations", "monitoring"),
}
# The parts of platform_site that stand on top: the URL map, the ASGI entry, and what runs the site.
ON_TOP = ("platform_site/urls.py", "platform_site/asgi.py", "platform_site/running/")
SETTINGS = "platform_site/settings.py"  # Django wants the names of the apps in it


def reverse_names(app: str) -> set[str]:
    """The names by which a query or an attribute of an app's models reaches a higher app."""
    names = set()
    for model in apps.get_app_config(app).get_models():
        for relation in model._meta.related_objects:
            if relation.related_model._meta.app_label in ABOVE[app]:
                names |= {relation.name, relation.get_accessor_name() or relation.name}
    return names


def strings_and_attributes(source: str) -> Iterator[tuple[int, str, bool]]:
    """Each string and attribute of a source: its line, its text, whether it is an attribute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            yield node.lineno, node.attr, True
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, False
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.value.lineno, node.arg, False


def upward(app: str, source: str, names: set[str]) -> list[str]:
    paths = re.compile(rf"({'|'.join(ABOVE[app])})(\.\w+)+")
    found = []
    for line, text, is_attribute in strings_and_attributes(source):
        by_name = text in names if is_attribute else text.split("__")[0] in names and "__" in text
        if by_name or (not is_attribute and paths.fullmatch(text)):
            found.append(f"{line}: {text}")
    return found


def test_nothing_below_names_what_is_above() -> None:
    found = []
    for app in ABOVE:
        names = reverse_names(app)
        for path in modules(app):
            place = str(path.relative_to(ROOT))
            if place != SETTINGS and not place.startswith(ON_TOP):
                found += [f"{place}:{fault}" for fault in upward(app, path.read_text(), names)]
    assert found == []


def test_a_planted_name_is_found() -> None:
    names = reverse_names("jobs")
    assert "series" in names
    assert upward("jobs", 'Job.objects.filter(series__name="x")', names) == ["1: series__name"]
    assert upward("jobs", "job.series.all()", names) == ["1: series"]
    assert upward("jobs", 'later("monitoring.tasks.tell", 1)', names) == [
        "1: monitoring.tasks.tell"
    ]
    assert upward("jobs", 'reverse("monitoring:run")', names) == []  # a URL may be named


def test_templates_below_reach_nothing_above() -> None:
    found = []
    for app in set(APPS) & set(ABOVE):
        for name in reverse_names(app):
            pattern = re.compile(rf"\.{name}\b")
            for path in templates(app):
                if pattern.search(path.read_text()):
                    found.append(f"{path.relative_to(ROOT)}: {name}")
    assert found == []


def templates(app: str) -> Iterator[Path]:
    return ROOT.joinpath("templates", app).rglob("*.html")
