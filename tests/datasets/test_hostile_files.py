"""Files and templates that ask for more than a page may take: a sentence, and soon."""

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import User
from django.test import Client

from datasets import services, working
from datasets.formats import shown
from datasets.models import Dataset, Target, Version
from datasets.versions import views
from platform_site.bounded.limits import GIB, MIB, Limits
from platform_site.work.models import State
from tests import factories, tokenizers

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
LOOP += "{% endfor %}{% endfor %}{% endfor %}{{ messages[0].content }}"
TEMPLATES = {
    "a long text": "{{ 'a' * 10**9 }}{{ 'b' * 10**9 }}",
    "a longer text": "{{ 'a' * 10**11 }}",
    "an endless loop": LOOP,
}
FAST = Limits(seconds=3, memory=GIB)


@pytest.fixture
def version(home: Path, user: User) -> Version:
    train = factories.write_rl_rows(home / "rl.parquet", 3)
    return made(user, train)


def made(user: User, train: Path) -> Version:
    dataset = Dataset.objects.create(name="rows", owner=user)
    files = {"train_file": str(train), "val_file": str(train)}
    return Version.objects.create(
        dataset=dataset, number=1, target=Target.RL, state=State.DONE, **files
    )


@pytest.fixture
def bomb(home: Path) -> Path:
    """A few KiB whose rows are 2.5 GiB: each row names the same text of 64 MiB."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int32()), ["a" * 64 * MIB])
    turns = pa.ListArray.from_arrays(
        pa.array(range(41), pa.int32()),
        pa.StructArray.from_arrays([pa.array(["user"] * 40), text], ["role", "content"]),
    )
    table = pa.table({"data_source": text, "prompt": turns, "reward_model": text})
    path = home / "bomb.parquet"
    pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 100_000
    return path


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_without_end_is_ended(
    page: Client, version: Version, home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(views, "TEMPLATES", FAST)
    model = tokenizers.save(home / "model", TEMPLATES[name])
    asked = {"model": str(model), "row": "0", "file": "train"}
    began = time.monotonic()
    answer = page.get(f"/datasets/{version.dataset_id}/versions/1/tokens/", asked)
    assert time.monotonic() - began < 30
    assert answer.status_code == 200
    said = answer.content.decode()
    assert "and was ended" in said or "refuses this prompt: It needs more memory" in said
    assert len(said) < MIB


@pytest.mark.parametrize("tail", ["", "?q=zzz", "rows/0/", "fields/", "fields/?field=data_source"])
def test_rows_that_inflate_are_not_read_into_the_site(
    page: Client, user: User, bomb: Path, tail: str
) -> None:
    version = made(user, bomb)
    answer = page.get(f"/datasets/{version.dataset_id}/versions/1/{tail}")
    assert answer.status_code == 200
    assert len(answer.content) < MIB
    if not tail:
        assert "of memory, and was ended" in answer.content.decode()


def test_tokens_come_a_page_at_a_time(page: Client, user: User, home: Path) -> None:
    turn = {"role": "user", "content": "x" * 12_000}
    truth = {"ground_truth": "1", "style": "rule"}
    row: dict[str, Any] = {"prompt": [turn], "data_source": "a", "reward_model": truth}
    train = factories.write_table(home / "long.parquet", {key: [row[key]] for key in row})
    version = made(user, train)
    model = tokenizers.save(home / "model", tokenizers.CHATML)
    url = f"/datasets/{version.dataset_id}/versions/1/tokens/?model={model}&row=0&file=train"
    first, last = page.get(url).content.decode(), page.get(f"{url}&start=10000").content.decode()
    assert first.count('class="token"') == shown.TOKENS
    assert "from token 0, of 12" in first
    assert "start=5000" in first
    assert 2000 < last.count('class="token"') < 2100


def test_a_row_of_many_columns_and_turns_is_a_small_page(
    page: Client, user: User, home: Path
) -> None:
    turns = [{"role": "user", "content": "y" * 5_000}] * 3_000
    row: dict[str, Any] = {"data_source": "a", "prompt": turns}
    row["reward_model"] = {"ground_truth": "1"}
    row |= {f"column_{number}": "z" * 3_000 for number in range(1_500)}
    row["extra_info"] = {"note": "n" * 50_000}
    train = factories.write_table(home / "wide.parquet", {key: [row[key]] for key in row})
    version = made(user, train)
    url = f"/datasets/{version.dataset_id}/versions/1/"
    for tail in ("", "rows/0/", "fields/"):
        answer = page.get(url + tail)
        assert answer.status_code == 200
        assert len(answer.content) < MIB, tail
    whole = page.get(f"{url}rows/0/").content.decode()
    assert "2,800 more turns are not shown" in whole
    assert "1,403 more columns are not shown" in whole
    assert "48,000 more characters" in whole


def test_a_check_ends_though_the_template_does_not(
    version: Version, user: User, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "COUNTED_WITHIN", 1)
    model = tokenizers.save(home / "model", LOOP)
    report = services.check(version, str(model), 100, user)
    working.work_off(report)
    report.refresh_from_db()
    assert report.state == State.FAILED
    assert report.error == (
        "The tokens of 3 rows could not be counted. It took more than 1 s, and was ended."
    )
