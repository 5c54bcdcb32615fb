"""Data in a real browser: from a file on disk to a version that a job reads."""

import json
import re
import socket
from pathlib import Path

import pytest
from playwright.sync_api import Page, StorageState, expect

from tests.e2e.site import Site, wait_for

pytestmark = pytest.mark.e2e


def test_from_an_upload_to_a_job(
    page: Page, site: Site, complaints: list[str], tmp_path: Path
) -> None:
    rows = [{"question": f"{n % 60}+1=?", "answer": f"#### {n % 60 + 1}"} for n in range(80)]
    lines = [json.dumps(row) for row in rows]
    lines.insert(72, "{broken")
    file = tmp_path / "sums.jsonl"
    file.write_text("\n".join(lines))

    page.goto(f"{site.url}/datasets/new/")
    page.fill("[name=name]", "sums <b>")
    page.set_input_files("[name=file]", str(file))
    page.get_by_role("button", name="Import").click()

    expect(page.locator("#dataset-contents")).to_contain_text("Map and compile", timeout=60_000)
    page.get_by_text("1 row could not be read").click()
    expect(page.locator("#dataset-contents")).to_contain_text("Line 73")
    page.get_by_role("link", name="Map and compile").click()

    expect(page.locator("#map-preview")).to_contain_text("0+1=?")
    page.fill("[name=role_question]", "nonsense")
    wrong = page.locator("#map-preview").get_by_text("There is no column nonsense")
    expect(wrong).to_have_count(1)
    page.fill("[name=role_question]", "question")
    expect(page.locator("#map-preview")).not_to_contain_text("no column nonsense")
    page.fill("[name=role_data_source]", "=openai/gsm8k")
    page.fill("[name=validation]", "8")
    page.get_by_role("button", name="Compile").click()
    page.wait_for_url("**/versions/1/")
    # The page shows by itself how far the work is.
    expect(page.locator("#rows article")).to_have_count(25, timeout=60_000)

    page.fill("[name=q]", "9+1=?")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#rows article").first).to_contain_text("9+1=?")
    assert 1 <= page.locator("#rows article").count() <= 8

    page.get_by_role("link", name="Check", exact=True).click()
    page.get_by_role("button", name="Check the rows").click()
    expect(page.locator("#report")).to_contain_text("Exact duplicate", timeout=60_000)
    page.get_by_label("Leave out: Exact duplicate").check()
    page.get_by_role("button", name="Make a version without the ticked").click()
    page.wait_for_url("**/versions/2/")

    page.goto(f"{site.url}/jobs/new/sample-grpo/")
    page.select_option("[name=dataset]", label="sums <b>@1")
    expect(page.locator("[name=train_files]")).to_have_value(re.compile("/versions/.*/train"))
    expect(page.locator("[name=val_files]")).to_have_value(re.compile("/versions/.*/val"))
    # Seventy rows or so are six batches of twelve: the recipe's sixteen steps are refused.
    expect(page.locator("#preview")).to_contain_text("The epochs hold")
    page.fill("[name=steps]", "4")
    expect(page.locator("#preview")).to_contain_text("/versions/")
    assert complaints == []


def test_an_upload_that_is_cut_off_leaves_nothing(site: Site, login_state: StorageState) -> None:
    before = site.manage("dataset", "list")
    cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in login_state["cookies"])
    head = (
        "POST /datasets/new/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000000\r\n"
        f"Cookie: {cookies}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        'Content-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as connection:
        connection.sendall(head.encode() + b'{"a": 1}\n' * 500_000)
    wait_for(site.answers, "the site to answer")
    assert site.manage("dataset", "list") == before
    assert list((site.home / "uploads").iterdir()) == []
