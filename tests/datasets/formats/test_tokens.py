"""Tokens and what bears loss, by tokenizers made on the spot. Agreement with verl itself is tested
in tests/node/test_tokens.py."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from datasets.formats.chat import ChatOptions, said
from datasets.formats.token_text import byte_alphabet
from datasets.formats.tokens import REFUSED, ChatTokenizer, load
from tests.tokenizers import CHATML, save

SYSTEM = "{% if messages[0].role != 'system' %}<|a|>system\nBe kind.<|z|>\n{% endif %}"
STRICT = "{% if messages | length > 1 and messages[0].role == messages[1].role %}"
STRICT += "{{ raise_exception('Roles must alternate.') }}{% endif %}" + CHATML
Make = Callable[..., ChatTokenizer]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(template: str = CHATML, **options: Any) -> ChatTokenizer:
        return load(save(tmp_path / "model", template), ChatOptions(**options))

    return made


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in pairs]


def text(tokens: Any) -> str:
    return "".join(token.text for token in tokens)


ROW = {"messages": turns(("user", "hi"), ("assistant", "yo"))}


def test_what_a_template_raises_is_said_in_words() -> None:
    assert said(MemoryError()) == "It needs more memory than it may take."
    assert said(ValueError("no role\nat 3")) == "no role."


def test_sft_loss_is_on_the_answer_and_its_end(make: Make) -> None:
    view = make().view(ROW, "sft")
    assert text(view.tokens) == "<|a|>user\nhi<|z|>\n<|a|>assistant\nyo<|z|>\n"
    assert text(t for t in view.tokens if t.bears_loss) == "yo<|z|>\n"
    assert (view.total, view.refusal, view.rejected) == (len(view.tokens), "", None)


def test_a_default_system_prompt_stands_once(make: Make) -> None:
    row = {"messages": ROW["messages"] * 2}
    view = make(SYSTEM + CHATML).view(row, "sft")
    assert text(view.tokens).count("Be kind.") == 1
    assert text(t for t in view.tokens if t.bears_loss) == "yo<|z|>\nyo<|z|>\n"


@pytest.mark.parametrize(
    ("pad_mode", "truncation", "left", "right"),
    [
        ("no_padding", "left", 0, 16),  # verl cuts on the right then, too
        ("no_padding", "right", 0, 16),
        ("right", "left", 16, 0),
        ("right", "right", 0, 16),
    ],
)
def test_sft_truncation(make: Make, pad_mode: str, truncation: str, left: int, right: int) -> None:
    whole = make(pad_mode=pad_mode).view(ROW, "sft")
    view = make(pad_mode=pad_mode).view(ROW, "sft", whole.total - 16, truncation)
    assert (len(view.cut_left), len(view.cut_right)) == (left, right)
    assert view.cut_left + view.tokens + view.cut_right == whole.tokens
    assert view.total == whole.total


def test_too_long_without_truncation_is_refused_and_shown(make: Make) -> None:
    view = make().view(ROW, "sft", 10)
    assert view.refusal == f"sequence_length={view.total} is larger than self.max_length=10"
    assert len(view.tokens) == view.total


def test_rl_shows_the_prompt_up_to_the_answer(make: Make) -> None:
    view = make().view({"prompt": turns(("user", "hi"))}, "rl", 64)
    assert text(view.tokens) == "<|a|>user\nhi<|z|>\n<|a|>assistant\n"
    assert not any(view.loss_mask)
    long = make().view({"prompt": turns(("user", "hi" * 99))}, "rl", 64)
    assert "data.max_prompt_length=64" in long.refusal
    assert long.cut_left == long.cut_right == ()


def test_dpo_shows_both_sides(make: Make) -> None:
    row = {
        "prompt": turns(("user", "hi")),
        "chosen": turns(("assistant", "yes")),
        "rejected": turns(("assistant", "no")),
    }
    view = make().view(row, "dpo")
    assert view.rejected is not None
    assert text(t for t in view.tokens if t.bears_loss) == "yes<|z|>\n"
    assert text(t for t in view.rejected.tokens if t.bears_loss) == "no<|z|>\n"
    assert make().lengths([row], "dpo") == [view.total]
    shorter = make().view(row, "dpo", view.total - 2, "left")
    assert shorter.rejected is not None
    assert text(shorter.cut_left) == text(shorter.rejected.cut_left) == "<|a|>u"
    assert shorter.cut_right == ()
    ends = make().view(row, "dpo", view.total - 3, "right")
    assert text(ends.cut_right) == "s<|z|>\n"
    assert "alone fills" in make().view(row, "dpo", 5, "left").refusal


def test_parts_of_characters_are_told_as_bytes(make: Make) -> None:
    view = make().view({"messages": turns(("user", "é🤗"), ("assistant", ""))}, "sft")
    assert r"\xc3\xa9\xf0\x9f\xa4\x97" in text(view.tokens)
    assert len(byte_alphabet()) == 256


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": []}, "non-empty list"),
        ({"messages": [{"role": "user"}]}, "no content"),
        ({**ROW, "tools": None}, "tools is empty in this row"),
        ({**ROW, "enable_thinking": None}, "enable_thinking is empty in this row"),
        ({**ROW, "images": None}, "needs a processor"),
    ],
)
def test_sft_refusals(make: Make, row: dict[str, Any], reason: str) -> None:
    assert reason in make().view(row, "sft").refusal
    assert make().lengths([ROW, row, ROW], "sft")[1] == REFUSED


def test_a_template_that_refuses_two_user_turns_cannot_be_used_for_sft(make: Make) -> None:
    assert "Roles must alternate. SFT cannot use" in make(STRICT).view(ROW, "sft").refusal
    assert make(STRICT).view({"prompt": turns(("user", "hi"))}, "rl").refusal == ""


def test_a_template_that_looks_at_the_last_turn_is_refused_with_its_tokens(make: Make) -> None:
    template = CHATML.replace("{{ m.content }}", "{{ loop.length }}{{ m.content }}")
    view = make(template).view(ROW, "sft")
    assert "ignore_input_ids_mismatch" in view.refusal
    assert text(t for t in view.tokens if t.bears_loss) == "1yo<|z|>\n"
    assert make(template, ignore_mismatch=True).view(ROW, "sft").refusal == ""


def test_template_options_reach_the_template(make: Make) -> None:
    template = "{{ style }}{{ enable_thinking }}" + CHATML
    options = {"template_kwargs": {"style": "S"}, "enable_thinking": False}
    row = {"prompt": turns(("user", "hi"))}
    assert text(make(template, **options).view(row, "rl").tokens).startswith("S<|a|>")


def test_lengths_are_those_of_the_views(make: Make) -> None:
    rows = [{"messages": turns(("user", "x" * n), ("assistant", "y"))} for n in range(2100)]
    tokenizer = make()
    lengths = tokenizer.lengths(rows, "sft")
    assert [lengths[n] - lengths[0] for n in (0, 1, 999, 1000, 2099)] == [0, 1, 999, 1000, 2099]
    assert lengths[7] == tokenizer.view(rows[7], "sft").total
    assert tokenizer.lengths([], "sft") == []


LAST = "{% set last = messages | length - 1 %}"
THINKING = LAST + CHATML.replace(
    "{{ m.content }}",
    "{% if m.reasoning_content and loop.index0 == last %}"
    "<t>{{ m.reasoning_content }}</t>{% endif %}"
    "{{ m.content }}",
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('No system.') }}{% endif %}"
NEEDS_USER = (
    "{% if not messages | selectattr('role', 'equalto', 'user') | list %}"
    "{{ raise_exception('No user.') }}{% endif %}"
    "{% if messages | length == 2 and messages[1].role == 'system' %}"
    "{{ raise_exception('System first.') }}{% endif %}"
)
THOUGHT = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b", "reasoning_content": "so"},
    {"role": "user", "content": "c"},
    {"role": "assistant", "content": "d", "reasoning_content": "so"},
]
WITH_SYSTEM = turns(("system", "Be kind."), ("user", "hi"), ("assistant", "yo"))


@pytest.mark.parametrize(
    ("template", "messages"),
    [
        (THINKING, THOUGHT),
        (NO_SYSTEM + CHATML, WITH_SYSTEM),
        (NEEDS_USER + CHATML, WITH_SYSTEM),
        (STRICT, ROW["messages"]),
    ],
)
def test_a_check_refuses_what_the_view_refuses(make: Make, template: str, messages: Any) -> None:
    tokenizer = make(template)
    bad, good = {"messages": messages}, {"messages": turns(("user", "a"), ("assistant", "b"))}
    assert tokenizer.view(bad, "sft").refusal
    assert tokenizer.lengths([bad], "sft") == [REFUSED]
    if template != STRICT:  # which no row can be read with
        assert tokenizer.lengths([good], "sft") == [tokenizer.view(good, "sft").total]


def test_empty_fields_are_not_rendered(make: Make) -> None:
    template = CHATML.replace("{{ m.content }}", "{{ m.tool_calls | default('-') }}{{ m.content }}")
    messages = [{**turn, "tool_calls": None} for turn in ROW["messages"]]
    assert "None" not in text(make(template).view({"messages": messages}, "sft").tokens)
    assert "None" not in text(make(template).view({"prompt": messages[:1]}, "rl").tokens)


def test_a_marked_turn_bears_no_loss(make: Make) -> None:
    marked = [*ROW["messages"], {**ROW["messages"][1], "weight": 0}, ROW["messages"][1]]
    view = make().view({"messages": marked}, "sft")
    assert text(t for t in view.tokens if t.bears_loss) == "yo<|z|>\n" * 2


def test_several_threads_may_ask_at_once(make: Make) -> None:
    tokenizer = make()
    rows = [{"messages": turns(("user", "x" * n), ("assistant", "y"))} for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        totals = list(pool.map(lambda row: tokenizer.view(row, "sft").total, rows))
        counted = list(pool.map(lambda row: tokenizer.lengths([row], "sft")[0], rows))
    assert totals == counted == list(range(totals[0], totals[0] + 60))


def test_unknown_words_are_told(make: Make) -> None:
    with pytest.raises(ValueError, match="'ppo'; it is one of sft, rl, dpo"):
        make().view(ROW, "ppo")
    with pytest.raises(ValueError, match="'middle'; it is one of error, left, right"):
        make().view(ROW, "sft", 5, "middle")


def test_a_changed_template_is_read_anew(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", CHATML)
    load(folder)
    (folder / "chat_template.jinja").write_text("!" + CHATML)
    assert text(load(folder).view(ROW, "sft").tokens).startswith("!")


def test_folders_without_a_usable_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no folder"):
        load(tmp_path / "none")
    with pytest.raises(ValueError, match="has no tokenizer"):
        load(tmp_path)
    with pytest.raises(ValueError, match="has no chat template"):
        load(save(tmp_path / "base", None))
    broken = save(tmp_path / "broken", CHATML)
    (broken / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        load(broken)


def test_a_tokenizer_with_code_of_its_own_is_not_run(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", CHATML)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match="Python code of its own, which Trainyard does not run"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = "import datasets.formats.tokens, sys; print('transformers' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"False\n"
