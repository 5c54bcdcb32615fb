"""What the structure of every page must keep: headings, names, landmarks, ids."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"input", "img", "br", "hr", "meta", "link", "source", "col", "wbr", "use", "path", "rect"}
NAMED = {"a", "button", "summary", "h1", "h2", "h3", "h4", "h5", "h6", "th"}
TYPED = {"select", "textarea", "input"}
UNSEEN = {"hidden", "submit", "button"}
REFERS = ("aria-labelledby", "aria-describedby", "aria-controls")
HEADING = re.compile(r"h[1-6]")


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list[str] = field(default_factory=list)  # the tags around it

    @property
    def name(self) -> str:
        given = self.attributes.get
        return (given("aria-label") or given("title") or self.text or "").strip()

    def __str__(self) -> str:
        shown = {
            key: self.attributes[key]
            for key in ("id", "name", "href", "class")
            if key in self.attributes
        }
        return f"<{self.tag} {shown}> {self.text.strip()[:40]!r}"


class Page(HTMLParser):
    """The elements of a page in their order; what is in a template is not there yet."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self._hidden = 0
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag == "template"
        if self._hidden:
            return
        inside = [element.tag for element in self._open]
        element = Element(tag, {key: value or "" for key, value in attrs}, inside=inside)
        self.elements.append(element)
        if label := element.attributes.get("aria-label", "") if tag in ("svg", "span") else "":
            self._said(label)
        if tag == "img":
            self._said(element.attributes.get("alt", ""))
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden -= tag == "template"
            return
        while any(element.tag == tag for element in self._open):
            if self._open.pop().tag == tag:
                return

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._said(data)

    def _said(self, words: str) -> None:
        for element in self._open:
            element.text += words


def faults(content: str) -> list[str]:
    """What is wrong with the structure of a page, as sentences."""
    elements = Page(content).elements
    return [
        *_headings(elements),
        *_ids(elements),
        *_names(elements),
        *_landmarks(elements),
    ]


def _headings(elements: list[Element]) -> Iterator[str]:
    found = [element for element in elements if HEADING.fullmatch(element.tag)]
    first = [element for element in found if element.tag == "h1"]
    if len(first) != 1:
        yield f"It has {len(first)} headings of the first level."
    before = 0
    for element in found:
        level = int(element.tag[1])
        if level > before + 1:
            yield f"{element} comes after a heading of level {before}."
        before = level


def _ids(elements: list[Element]) -> Iterator[str]:
    ids = Counter(e.attributes["id"] for e in elements if e.attributes.get("id"))
    yield from (
        f"The id {name} is there {count} times." for name, count in ids.items() if count > 1
    )
    for element in elements:
        given = element.attributes
        named = [one for key in REFERS for one in given.get(key, "").split()]
        named += [given["for"]] if element.tag == "label" and "for" in given else []
        if element.tag == "a" and given.get("href", "").startswith("#"):
            named.append(given["href"][1:])
        yield from (
            f"{element} names the id {one}, which is not there." for one in named if one not in ids
        )


def _names(elements: list[Element]) -> Iterator[str]:
    labelled = {e.attributes.get("for") for e in elements if e.tag == "label" and e.text.strip()}
    for element in elements:
        given = element.attributes
        if element.tag in NAMED and not element.name and not given.get("aria-labelledby"):
            yield f"{element} has no name."
        if element.tag in TYPED and given.get("type") not in UNSEEN:
            is_named = given.get("aria-label") or given.get("aria-labelledby")
            if not (is_named or given.get("id") in labelled or "label" in element.inside):
                yield f"{element} has no label."
        if element.tag == "img" and "alt" not in given:
            yield f"{element} has no alternative text."


def _landmarks(elements: list[Element]) -> Iterator[str]:
    if (mains := sum(element.tag == "main" for element in elements)) != 1:
        yield f"It has {mains} main landmarks."
    navs = [e.attributes.get("aria-label", "") for e in elements if e.tag == "nav"]
    if "" in navs or len(set(navs)) != len(navs):
        yield f"Its navigations are not told apart: {navs}."
    if not any(e.tag == "title" and e.text.strip() for e in elements):
        yield "It has no title."
    if not any(e.tag == "html" and e.attributes.get("lang") for e in elements):
        yield "It does not say its language."
