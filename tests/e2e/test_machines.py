"""A machine behind a real sshd, in a real browser: added, confirmed, checked, lost and back."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.site import Site, wait_for
from tests.fakes import FakeTrainer
from tests.sshd import Sshd, account, far_trainer

pytestmark = pytest.mark.e2e
NAME = "rented box"
SOON = 60_000  # milliseconds


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with Sshd(account()) as server:
        yield server


@pytest.fixture(scope="module")
def trainer(sshd: Sshd) -> Iterator[FakeTrainer]:
    folder = sshd.account.folder()
    yield far_trainer(sshd.account, folder)
    shutil.rmtree(folder)


def check(page: Page, label: str) -> Locator:
    """A line of the machine's checks."""
    return page.locator("#machine-contents li", has_text=label)


def test_it_is_added_and_nothing_logs_in_before_its_key_is_confirmed(
    page: Page, site: Site, sshd: Sshd, trainer: FakeTrainer, complaints: list[str]
) -> None:
    page.goto(f"{site.url}/machines/new/")
    page.fill("[name=name]", NAME)
    page.fill("[name=host]", "127.0.0.1")
    page.fill("[name=port]", str(sshd.port))
    page.fill("[name=user]", sshd.account.name)
    page.fill("[name=password]", "not the password")
    page.fill("[name=workdir]", str(trainer.folder / "my runs"))
    page.fill("[name=python]", trainer.python)
    page.get_by_role("button", name="Add it and show its host key").click()

    expect(page.locator(".fingerprint")).to_have_text(sshd.fingerprint())
    assert "Accepted" not in (sshd.folder / "log").read_text()
    assert "Failed password" not in (sshd.folder / "log").read_text()
    page.get_by_role("button", name="It is the same: confirm it").click()

    expect(check(page, "Login")).to_contain_text("does not let", timeout=SOON)
    assert complaints == []


def test_with_its_key_it_is_checked_and_a_run_is_seen_there(
    page: Page, site: Site, sshd: Sshd, trainer: FakeTrainer, complaints: list[str]
) -> None:
    page.goto(f"{site.url}/machines/")
    page.get_by_role("link", name=NAME).click()
    url = page.url
    page.goto(f"{url}edit/")
    page.fill("[name=private_key]", (sshd.folder / "login").read_text())
    page.check("[name=forget_password]")
    page.get_by_role("button", name="Keep the changes").click()
    expect(check(page, "Login")).to_contain_text("Pass", timeout=SOON)

    trainer.plan(steps=4, gated=True)
    trainer.go(2)
    job = site.manage("submit", "sample-sft", "--set", f"machine={NAME}", "--name", "far")["id"]
    wait_for(lambda: site.look(job)[1] == 2, "two steps", 120)
    page.goto(f"{site.url}/jobs/{job}/")
    expect(page.locator("#run-header")).to_contain_text(NAME)

    sshd.stop()
    expect(page.locator("#run-header")).to_contain_text("unreachable since", timeout=180_000)
    trainer.go(4)  # it goes on without us
    page.goto(url)
    expect(page.locator("#machine-contents")).to_contain_text("Runs there go on")
    sshd.start()
    done = site.wait_for_status(job, "completed", "failed", "lost", within=150)
    assert done["status"] == "completed", done["reason"]
    assert complaints == []
