import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    StorageState,
    expect,
    sync_playwright,
)

from tests.e2e.site import Site

CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=20_000)  # milliseconds: real training goes on beside the browser

# Playwright keeps an event loop in this thread, which Django takes for async code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("trainyard") / "home")
    try:
        site.start()
        yield site
    finally:
        stop_runs(site.home)
        site.stop()


def stop_runs(home: Path) -> None:
    """End training that a failed test left behind: the wrapper ends its own run."""
    import json

    for pid_file in home.glob("runs/*/attempt-*/pid"):
        if not (pid_file.parent / "exit_code").exists():
            pid = json.loads(pid_file.read_text())["wrapper"]["pid"]
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def login_state(browser: Browser, site: Site) -> StorageState:
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.url + "/accounts/login/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", site.password)
    page.click("button[type=submit]")
    page.wait_for_url(site.url + "/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def context(browser: Browser, login_state: StorageState) -> Iterator[BrowserContext]:
    context = browser.new_context(
        storage_state=login_state, viewport={"width": 1280, "height": 900}
    )
    yield context
    context.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Page:
    """A page that is logged in; what the browser complains about lands in ``complaints``."""
    page = context.new_page()
    listen(page, complaints)
    return page


def listen(page: Page, complaints: list[str]) -> None:
    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{page.url}: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
