import html
import json
import re
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from compute.prices import table
from tests.compute.sizing import configs
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

URL = "/calculator/"
SMALL = {"algorithm": "sft", "model": "qwen2.5-0.5b", "max_tokens_per_gpu": "8192"}


def shown(page: Client, asked: dict[str, str] | None = None, status: int = 200) -> str:
    answer = page.get(URL, asked or {})
    assert answer.status_code == status
    return " ".join(html.unescape(answer.content.decode()).split())


def error_at(content: str, field: str) -> str:
    found = re.search(rf'<p id="error-{field}"[^>]*>(.*?)</p>', content)
    assert found
    return found[1].strip()


def test_it_starts_with_an_estimate(page: Client) -> None:
    content = shown(page)
    for words in ("GRPO", "NVIDIA H100 SXM 80 GB", "These are estimates", "Tokens a second",
                  "MFU counts", "KV cache", "no price"):  # fmt: skip
        assert words in content
    assert content.count('<svg class="stacked"') >= 3  # update, log-probs, rollout
    assert content.count('<line class="limit" x1="') == content.count('<svg class="stacked"') + 1


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        (SMALL, "Fits"),
        (SMALL | {"gpu": "h100-80g", "gpus": "1", "model": "llama-3.1-70b"}, "Does not fit"),
    ],
)
def test_the_address_holds_the_settings(page: Client, asked: dict[str, str], verdict: str) -> None:
    content = shown(page, asked)
    assert verdict in content
    assert f'value="{asked["model"]}"' in content


def test_a_price_tells_the_cost(page: Client) -> None:
    table.keep("h100-80g", Decimal(2))
    assert "no price" not in shown(page)
    content = shown(page, SMALL | {"steps": "100", "price": "3.5"})
    assert "All steps" in content
    assert re.search(r"Cost of a step</dt> <dd> [\d.]+ USD", content)


def test_htmx_is_given_the_answer_with_the_errors_of_each_field(page: Client) -> None:
    content = page.get(URL, SMALL, headers=HTMX | {"HX-Target": "answer"}).content.decode()
    assert "<html" not in content
    assert content.strip().startswith('<section id="answer"')
    assert 'id="error-gpus" class="field-error" hx-swap-oob="true"' in content
    assert 'id="state"' in content


def test_another_algorithm_has_other_fields(page: Client) -> None:
    headers = HTMX | {"HX-Target": "calculator"}
    sft = page.get(URL, {"algorithm": "sft"}, headers=headers).content.decode()
    assert 'name="max_length"' in sft
    assert 'name="tensor_parallel"' not in sft
    grpo = page.get(URL, {"algorithm": "grpo"}, headers=headers).content.decode()
    assert 'name="max_length"' not in grpo
    assert 'name="tensor_parallel"' in grpo


@pytest.mark.parametrize(
    ("field", "asked", "says"),
    [
        ("gpus", {"gpus": "0"}, "one GPU or more"),
        ("gpus", {"gpus": "many"}, "Enter a whole number"),
        ("price", {"price": "-1"}, "not negative"),
        ("max_response_length", {"max_response_length": "1000000000"}, "16,777,216"),
        ("lora_rank", {"lora_rank": "1000", "model": "qwen2.5-0.5b"}, "above the model's width"),
        ("tensor_parallel", {"tensor_parallel": "3"}, "does not divide"),
        ("sequence_parallel", {"sequence_parallel": "16", "gpus": "24"}, "does not divide"),
        ("gpu", {"gpu": "abacus"}, "Select a valid choice"),
        ("algorithm", {"algorithm": "alchemy"}, "Select a valid choice"),
        ("model", {"model": "nobody/has-this"}, "is not in this machine's Hugging Face cache"),
        ("model", {"model": ""}, "required"),
        ("model", {"config": "nonsense"}, "does not hold the whole config.json"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    page: Client, field: str, asked: dict[str, str], says: str
) -> None:
    content = shown(page, asked, 422)
    assert says in error_at(content, field)
    assert "These are estimates" not in content


def upload(page: Client, data: bytes, state: str = "") -> Any:
    file = SimpleUploadedFile("config.json", data)
    return page.post(f"{URL}config/", {"file": file, "state": state})


def test_an_uploaded_config_goes_on_in_the_address(page: Client) -> None:
    data = json.dumps(configs.QWEN_25_HALF_B).encode()
    answer = upload(page, data, "algorithm=sft&gpus=4")
    assert answer.status_code == 302
    asked = {name: one[0] for name, one in parse_qs(urlsplit(answer.url).query).items()}
    assert (asked["algorithm"], asked["gpus"], asked["model"]) == ("sft", "4", "config.json")
    by_name = shown(page, {"algorithm": "sft", "gpus": "4", "model": "qwen2.5-0.5b"})
    peak = re.compile(r"[\d.]+ GiB of 79.6 GiB")
    assert peak.findall(shown(page, asked)) == peak.findall(by_name)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[1]", "no JSON object"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"model_type": "qwen2"}', "num_hidden_layers"),
        (json.dumps(configs.QWEN_25_HALF_B | {"x": list(range(150)), "y": "x" * 9}).encode(), ""),
    ],
)
def test_a_config_that_is_none_is_refused(page: Client, data: bytes, says: str) -> None:
    answer = upload(page, data)
    assert answer.status_code == (422 if says else 302)
    assert says in html.unescape(answer.content.decode())


def test_no_file_is_said(page: Client) -> None:
    answer = page.post(f"{URL}config/", {"state": ""})
    assert answer.status_code == 422
    assert "Choose a file first." in answer.content.decode()


def test_login_methods_and_queries(page: Client) -> None:
    for url, methods in ((URL, ["get"]), (f"{URL}gpus/", ["get"]), (f"{URL}config/", ["post"])):
        assert refuses_other_methods(page, url, *methods)
    assert asks_for_login(URL)
    assert asks_for_login(f"{URL}gpus/")
    page.get(URL)
    before = queries(page, URL)
    for card in ("h100-80g", "a100-80g", "l4"):
        table.keep(card, Decimal(1))
    assert queries(page, URL) == before


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (SMALL | {"max_length": "1000", "mean_prompt": "1001"}, "mean_prompt"),
        ({"algorithm": "grpo", "mean_prompt": "1025"}, "mean_prompt"),
        ({"algorithm": "grpo", "mean_answer": "99999999999"}, "mean_answer"),
    ],
)
def test_a_mean_above_the_longest_is_refused(
    page: Client, asked: dict[str, str], field: str
) -> None:
    assert "The mean is above the longest of" in error_at(shown(page, asked, 422), field)


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a formula that nobody tried so")


@pytest.mark.parametrize("part", ["estimate", "question_of", "ledger_of"])
def test_an_estimate_that_fails_is_told_and_logged(
    page: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    monkeypatch.setattr(f"jobs.calculator.forms.{part}", broken)
    assert "The estimate failed. The log says why." in shown(page, SMALL, 422)
    assert "a formula that nobody tried so" in caplog.text
