"""Every page that links lead to: its headings, labels, landmarks and ids; and that it answers."""

import html
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from compute.models import Machine
from datasets import services, working
from datasets.formats.columns import ColumnMapping
from datasets.formats.splitting import Split
from jobs.models import Status
from jobs.recipebook import book
from tests import factories, structure

BEGIN = (
    "/", "/jobs/try-reward/", "/jobs/trackers/", "/machines/new/", "/machines/ray/",
    "/machines/join/", "/accounts/password/", "/artifacts/", "/jobs/delete/?job=1",
)  # fmt: skip
LINK = re.compile(r'<a\b[^>]*?\bhref="([^"#]+)')
LEFT_OUT = re.compile(r"/static/|/files/|/log/$|/export/$|logout|\.(?:toml|parquet|json|log)")
SAME = 2  # pages of the same form


@pytest.fixture
def boss(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


@pytest.fixture
def full(home: Path, staff: User) -> None:
    """A site with something on every page."""
    now = timezone.now()
    for status in Status:
        job = factories.make_job(staff, name=f"is {status}", status=status, step=2, steps=4)
        factories.add_points(job, "train/loss", {1: 1.0, 2: 0.5})
        factories.write_run_file(job, "train.log", "\x1b[31mred\x1b[0m\nTraceback\n")
        job.started_at = job.ended_at = now - timedelta(hours=1)
        job.save()
        factories.keep_checkpoints(job, {2: 5})
    book.save_recipe(staff, job, "a recipe")
    rows = [{"q": f"{n}+1", "a": str(n), "id": n} for n in range(8)] + [{"q": "x"}]
    dataset = services.create("sums", staff, "Sums.")
    source = services.import_path(
        dataset, str(factories.write_lines(home / "a.jsonl", rows)), staff
    )
    working.work_off(source)
    source.refresh_from_db()
    mapping = ColumnMapping(
        "rl", "question_answer", {"question": "q", "answer": "a", "data_source": "=x"}
    )
    version = services.compile_version(source, mapping, Split(2, 1), staff)
    working.work_off(version)
    version.refresh_from_db()
    working.work_off(services.check(version, "", None, staff))
    factories.make_ssh_machine(name="far", python="/venv/bin/python")
    Machine.objects.create(
        name="away", kind="ssh", host="h", user="u", workdir="~/w", host_key="ssh-ed25519 AAAA",
        unreachable_since=now, unreachable_reason="It is away.", rental_ends_at=now + timedelta(1),
        checks=[{"name": "disk", "label": "Disk", "outcome": "fail", "found": "0", "fix": "rm"}],
    )  # fmt: skip


def links(content: str) -> Iterator[str]:
    for link in LINK.findall(content):
        address = html.unescape(link)
        if address.startswith("/") and not LEFT_OUT.search(address):
            yield address


def visited(client: Client) -> Iterator[tuple[str, int, str]]:
    """Address, status and content of all pages, ``SAME`` of each form. The admin is not entered."""
    line, seen, forms = list(BEGIN), set(BEGIN), Counter[str]()
    while line:
        address = line.pop(0)
        response = client.get(address, follow=True)
        text = response.content.decode() if "text/html" in response.headers["Content-Type"] else ""
        yield address, response.status_code, text
        if address.startswith("/admin/"):
            continue
        for found in links(text):
            form = re.sub(r"\d+", "N", re.sub(r"=[^&]*", "=", found))
            if found not in seen and forms[form] < SAME:
                forms[form] += 1
                seen.add(found)
                line.append(found)


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("is_full", [False, True])
def test_every_page_is_well_formed_and_links_to_pages(
    boss: Client, request: pytest.FixtureRequest, is_full: bool
) -> None:
    if is_full:
        request.getfixturevalue("full")
    wrong, count = [], 0
    for address, status, content in visited(boss):
        count += 1
        if status != 200 and not (address in BEGIN and status == 404):
            wrong.append(f"{address}: answers {status}")
        elif content and not address.startswith("/admin/"):
            wrong += [f"{address}: {fault}" for fault in structure.faults(content)]
    assert not wrong, "\n".join(wrong)
    assert count > (60 if is_full else 15)


def test_pages_without_a_login_are_well_formed(client: Client, db: None) -> None:
    for address in ("/accounts/login/", "/nowhere/"):
        assert structure.faults(client.get(address).content.decode()) == []


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("<h1>Two</h1>", "2 headings of the first level"),
        ("<h3>Deep</h3>", "comes after a heading of level 1"),
        ('<input id="x" name="y">', "has no label"),
        ('<p id="a"></p><p id="a"></p>', "is there 2 times"),
        ('<p aria-describedby="gone"></p>', "the id gone"),
        ('<button type="button"><svg></svg></button>', "has no name"),
        ("<main></main>", "2 main landmarks"),
        ("<nav></nav>", "not told apart"),
    ],
)
def test_a_fault_is_found(part: str, says: str) -> None:
    whole = '<html lang="en"><title>T</title><main><h1>One</h1>{}</main></html>'
    assert structure.faults(whole.format("")) == []
    assert any(says in fault for fault in structure.faults(whole.format(part)))
