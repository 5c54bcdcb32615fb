"""The words that people read: pages, messages, commands and documentation have one spelling."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("platform_site", "compute", "datasets", "jobs", "surgery", "evaluations", "monitoring")
NODE = ROOT / "environments/node/trainyard_node"
# What is typed is no word: commands, options, addresses, Hugging Face's own names.
TYPED = re.compile(
    r"manage\.py dataset|dataset (?:import|compile|columns|check|clean|list|show)\b"
    r"|--[a-z-]+ dataset|--dataset|/datasets?|datasets?[.=/(]\w"
)
DATASET = re.compile(r"\bdatasets?\b", re.IGNORECASE)
DECIMAL = re.compile(r"(?<!\[)(?<!\) )\b[kKMGTP]B\b|\b(?:mega|giga|tera)bytes?\b")
CODE = re.compile(r"```.*?```|`[^`]*`|^    .*?$|\]\([^)]*\)", re.DOTALL | re.MULTILINE)
SHOWN = ("aria-label", "title", "placeholder", "alt", "content", "data-confirm", "label")
THINGS = (
    "row|job|step|file|machine|checkpoint|prompt|token|answer|GPU|reason|version|event|pair|point|"
    "column|error|warning|source|device|run|attempt|slot|node|recipe|metric|artifact|value"
)
SEVERAL = re.compile(rf"\}}\}} (?:[a-z]+ )?(?:{THINGS})s\b")


def templates() -> list[Path]:
    return sorted((ROOT / "templates").rglob("*.html"))


def words_of_template(path: Path) -> str:
    """What a template shows, without what stands in code."""
    text = re.sub(r"{#.*?#}|<code\b.*?</code>|<pre\b.*?</pre>", " ", path.read_text(), flags=re.S)
    shown = re.findall(rf'(?:{"|".join(SHOWN)})="([^"]*)"', text)
    plain = re.sub(r"<[^>]*>", " ", re.sub(r"{%.*?%}", " ", text, flags=re.S), flags=re.S)
    return "\n".join(re.sub(r"{{.*?}}|{%.*?%}", " ", part) for part in (plain, *shown))


def strings_of(path: Path) -> Iterator[str]:
    """Sentences of Python: strings with a space; an f-string's values are left out."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


def modules() -> list[Path]:
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return [path for path in (*found, *NODE.rglob("*.py")) if "migrations" not in path.parts]


def texts() -> Iterator[tuple[str, str]]:
    for path in templates():
        yield str(path.relative_to(ROOT)), words_of_template(path)
    for path in modules():
        for text in strings_of(path):
            yield str(path.relative_to(ROOT)), text
    for path in sorted((ROOT / "static/js").glob("*.js")):
        for text in re.findall(r'"([^"\n]* [^"\n]*)"|`([^`]* [^`]*)`', path.read_text()):
            yield str(path.relative_to(ROOT)), re.sub(r"\$\{[^}]*\}", " ", "".join(text))
    for path in (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"):
        yield path.name, CODE.sub(" ", path.read_text())
    for path in sorted((ROOT / "jobs/recipes").glob("*.toml")):
        yield path.name, path.read_text()


def wrong(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}: …{text[max(0, found.start() - 40) : found.end() + 20]!r}"
        for name, text in texts()
        for found in pattern.finditer(TYPED.sub(" ", text))
    ]


def test_a_data_set_is_written_as_two_words() -> None:
    assert wrong(DATASET) == []


def test_bytes_are_counted_in_binary_units() -> None:
    assert wrong(DECIMAL) == []


def test_templates_say_one_of_one_thing() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in templates()
        for line in path.read_text().splitlines()
        if SEVERAL.search(line)
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("Three datasets of 4 rows", DATASET), ("It has 3 MB", DECIMAL), ("{{ n }} rows", SEVERAL)],
)
def test_a_wrong_text_is_found(text: str, pattern: re.Pattern[str]) -> None:
    assert pattern.search(TYPED.sub(" ", text))


TWELVE_HOURS = re.compile(r"toLocale(?:Time|Date)?String|Intl\.Date|datetime-local|%I|%p\b")


def test_times_have_24_hours() -> None:
    """What a browser or a language formats may have twelve."""
    files = [*templates(), *modules(), *(ROOT / "static/js").glob("*.js")]
    assert [str(path) for path in files if TWELVE_HOURS.search(path.read_text())] == []


def test_a_machine_has_a_rental_and_a_gpu_a_lease() -> None:
    lease = re.compile(r"\bleas(?:e|es|ed)\b", re.IGNORECASE)
    mixed = [
        f"{name}: {text!r}"
        for name, text in texts()
        if lease.search(text)
        and ("compute/" in name or (name.endswith(".py") and re.search(r"\brent", text)))
    ]
    assert mixed == []


def test_the_list_of_a_forms_errors_stands_in_one_template() -> None:
    listing = [path.name for path in templates() if "in field.errors %}" in path.read_text()]
    assert listing == ["error_list.html"]


def test_each_labelled_cell_shows_its_label_on_a_phone() -> None:
    css = ROOT.joinpath("static/css/components.css").read_text()
    texts = [file.read_text() for file in ROOT.joinpath("templates").rglob("*.html")]
    tags = {tag for text in texts for tag in re.findall(r"<(\w+)\b[^>]*\sdata-label=", text)}
    assert {"td", "th"} <= tags
    assert [tag for tag in tags if f".table.cards {tag}[data-label]::before" not in css] == []
