"""What is wrong with what a page names, in sentences; nothing when all of it is there.

Like all comparisons of this folder, these take the page and what the code has, so that a test can
give them a page with a planted fault.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.book import LINK, Page
from tests.docs.code import ROOT, defined

FUNCTION = re.compile(r"`([\w.]+)\(\)`")
STEP = re.compile(r"\d+\. ")
NAMED_FILE = re.compile(r"(?![A-Z]+/)[\w.*/-]+\.(?:py|md|toml|html|js|css|sh|yaml)")
NAMED_PATH = re.compile(r"(?![A-Z]+/)[\w.*-]+(?:/[\w.*-]+)*/?")  # DIR/x stands for any folder
SCREEN = 40  # lines
WIDTH = 110  # characters, after which a line of the README takes another one on the screen

# Names that many folders have.
ANYWHERE = {"apps.py", "__init__.py", "models.py", "urls.py", "management/commands/"}
# Named in the documentation and kept elsewhere than in this repository: names in a run directory,
# in Trainyard's home, in a model's folder, on a far machine, of metrics, and of other projects.
ELSEWHERE = {
    "run.sh", "config.json", "control/", "checkpoints/", "rollouts/", "validation/", "hydra/",
    "evaluation/", "eval/",
    "var/", "cluster/", "owner/name", "runs/", "mirror/", "fetched/", "samples/", "Europe/Berlin",
}  # fmt: skip


def links(page: Page) -> Iterator[str]:
    """Each link into the repository leads to a file and, with ``#``, to a heading in it."""
    for link in page.links:
        if re.match(r"\w+:", link.target):
            continue
        file, _, anchor = link.target.partition("#")
        path = (page.path.parent / file).resolve()
        if file and not path.exists():
            yield f"{link.target} leads nowhere."
        elif anchor and anchor not in (Page.read(path) if file else page).anchors:
            yield f"{link.target}: there is no such heading."


def functions(page: Page) -> Iterator[str]:
    """Each ``[`name()`](file)`` names what that file defines."""
    for link in page.links:
        named, path = FUNCTION.fullmatch(link.label), page.path.parent / link.target
        if named and path.is_file() and named[1] not in defined(path):
            yield f"{link.target} defines no {named[1]}()."


def paths(page: Page, root: Path = ROOT) -> Iterator[str]:
    """Each path that a page names, from the repository's root, is there."""
    for span in page.spans:
        is_path = "/" in span and NAMED_PATH.fullmatch(span)
        if (is_path or NAMED_FILE.fullmatch(span)) and not _is_known(span, root):
            yield f"There is no {span}."


def _is_known(span: str, root: Path) -> bool:
    folder, slash, _ = span.partition("/")
    if {span, folder + slash} & (ELSEWHERE | ANYWHERE):
        return True
    found = next(root.glob(span.rstrip("/")), None)
    return found is not None and (found.is_dir() or not span.endswith("/"))


def length(page: Page, screens: int = 2) -> Iterator[str]:
    """A page that is to be seen at one glance, or two."""
    lines = sum(max(1, -(-len(line) // WIDTH)) for line in page.text.splitlines())
    if lines > screens * SCREEN:
        yield f"It has {lines} lines: more than {screens} screens."


def steps(page: Page) -> Iterator[str]:
    """Each numbered step names the function, and so the file, that does it."""
    for step in filter(STEP.match, page.prose):
        if not any(FUNCTION.fullmatch(label) for label, _ in LINK.findall(step)):
            yield f"This step names no function: {step}"
