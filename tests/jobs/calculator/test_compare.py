import html
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from compute.prices import table
from compute.sizing.estimate import estimate
from compute.sizing.gpus import Gpu, catalogue
from compute.sizing.question import Question
from tests.pages import HTMX, queries

URL = "/calculator/gpus/"
SMALL = {"algorithm": "sft", "model": "qwen2.5-0.5b", "gradient_checkpointing": "true"}


def names(client: Client, **asked: str) -> list[str]:
    answer = client.get(URL, SMALL | asked)
    assert answer.status_code == 200
    content = html.unescape(answer.content.decode())
    return re.findall(r'class="name">\s*<a [^>]*>([^<]*)</a>', content)


def test_every_card_that_holds_it_once(page: Client) -> None:
    found = names(page)
    assert len(found) == len(set(found)) > 30
    assert "NVIDIA H100 SXM 80 GB" in found


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ({"maker": "AMD"}, lambda gpu: gpu.maker == "AMD"),
        ({"memory": "79"}, lambda gpu: gpu.memory >= 79 << 30),
        ({"maker": "AMD", "memory": "139"}, lambda gpu: gpu.memory >= 139 << 30),
        ({"maker": "Nobody"}, lambda gpu: True),
        ({"memory": "nonsense", "page": "x", "sort": "nonsense"}, lambda gpu: True),
    ],
)
def test_filtered(page: Client, asked: dict[str, str], holds: Callable[[Gpu], bool]) -> None:
    cards = {gpu.name: gpu for gpu in catalogue().values()}
    found = names(page, **asked)
    assert found
    assert all(holds(cards[name]) for name in found)
    if asked.get("maker") == "AMD":
        assert {cards[name].maker for name in found} == {"AMD"}


def test_sorted(page: Client) -> None:
    memory = {gpu.name: gpu.memory for gpu in catalogue().values()}
    found = [memory[name] for name in names(page, sort="-memory")]
    assert found == sorted(found, reverse=True)
    assert names(page, sort="name") == sorted(names(page))


def test_those_without_a_price_come_last(page: Client) -> None:
    table.keep("l4", Decimal("0.5"))
    table.keep("h100-80g", Decimal(2))
    for sort in ("cost", "-cost"):
        assert set(names(page, sort=sort)[:2]) == {"NVIDIA L4", "NVIDIA H100 SXM 80 GB"}


def test_a_card_leads_to_the_calculator_with_its_settings(page: Client) -> None:
    content = html.unescape(page.get(URL, SMALL | {"sort": "name"}).content.decode())
    links = re.findall(r'href="(/calculator/\?[^"]*gpu=l4&[^"]*)"', content)
    assert len(links) == 1
    assert "model=qwen2.5-0.5b" in links[0]
    assert "sort=" not in links[0]
    assert page.get(links[0]).status_code == 200


def test_htmx_is_given_the_table_alone(page: Client) -> None:
    content = page.get(URL, SMALL, headers=HTMX).content.decode()
    assert content.strip().startswith('<section id="cards-table"')


def test_what_cannot_be_estimated_is_said(page: Client) -> None:
    answer = page.get(URL, {"model": "nobody/has-this"})
    assert answer.status_code == 422
    assert "No estimate can be made" in answer.content.decode()


def test_a_model_that_no_card_holds(page: Client) -> None:
    asked = {"algorithm": "sft", "model": "llama-3.1-405b", "max_tokens_per_gpu": "8000000",
             "max_length": "8000000", "gradient_checkpointing": "false"}  # fmt: skip
    content = page.get(URL, asked).content.decode()
    assert "No card holds it" in content


def test_the_same_queries_with_and_without_prices(page: Client) -> None:
    page.get(URL, SMALL)
    before = queries(page, URL)
    assert before == queries(page, "/calculator/")
    for card in ("h100-80g", "a100-80g", "l4"):
        table.keep(card, Decimal(1))
    assert queries(page, URL) == before


def test_a_card_whose_estimate_fails_is_named(
    page: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(question: Question, *more: Any) -> Any:
        if question.gpu.slug == "h100-80g":
            raise ZeroDivisionError("a formula that nobody tried so")
        return estimate(question, *more)

    monkeypatch.setattr("jobs.calculator.cards.estimate", broken)
    assert "NVIDIA H100 SXM 80 GB" not in names(page)
    content = " ".join(page.get(URL, SMALL).content.decode().split())
    assert "The estimate failed on NVIDIA H100 SXM 80 GB: the log says why." in content
    assert "a formula that nobody tried so" in caplog.text
