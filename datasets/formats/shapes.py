"""Recognise the shape of rows, and propose a mapping for it."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datasets.formats.answers import HASHES
from datasets.formats.codes import RowProblem
from datasets.formats.columns import ROLES
from datasets.formats.mapping import ColumnMapping, converted

Rows = Sequence[Mapping[str, Any]]

# Names of columns in lower case, with _ for spaces and hyphens; the likeliest first.
PROMPTS = ("prompt", "input", "query", "question", "instruction", "problem", "user", "context")
RESPONSES = (
    "response", "completion", "output", "answer", "target", "reply", "assistant", "solution",
    "generation",
)  # fmt: skip
QUESTIONS = ("question", "problem", "prompt", "query")
ANSWERS = ("answer", "solution", "final_answer", "ground_truth", "target", "label")
OUTPUTS = ("output", "response", "answer", "completion", "target")
INPUTS = ("input", "context")
SYSTEMS = ("system", "system_prompt")
BETTER_AND_WORSE = (
    ("chosen", "rejected"), ("good", "bad"), ("better", "worse"), ("preferred", "rejected"),
    ("accepted", "rejected"), ("preferred", "dispreferred"), ("preferred", "non_preferred"),
    ("positive", "negative"), ("pos", "neg"), ("winner", "loser"), ("win", "lose"),
    ("best", "worst"), ("response_j", "response_k"), ("y_w", "y_l"),
)  # fmt: skip
ANSWERS_OF_PAIRS = ("response", "answer", "output", "completion", "reply", "text")
SOURCES = {"after_hashes": "openai/gsm8k", "boxed": "lighteval/MATH"}  # data sets of this form
BESIDE: Mapping[str, Sequence[str]] = {
    "tools": ("tools", "functions"),
    "images": ("images", "image"),
    "videos": ("videos", "video"),
    "audios": ("audios", "audio"),
    "enable_thinking": ("enable_thinking",),
    "extra_info": ("extra_info",),
    "agent_name": ("agent_name",),
}
TALKS = ("messages", "conversation", "conversations", "dialog", "dialogue", "chat", "turns")


@dataclass(frozen=True)
class Proposal:
    """A possible shape of the rows. ``confidence`` is 0 to 1; ``reason`` is a sentence.

    ``fits`` is the share of the rows that convert; ``lost`` counts the rows by what is not carried.
    """

    shape: str
    mapping: ColumnMapping
    confidence: float
    reason: str
    fits: float
    lost: dict[str, int]


def detect(rows: Rows) -> list[Proposal]:
    """Proposals for sample rows, best first; empty when nothing fits.

    A guess by column names loses confidence with the share of rows that it cannot convert.
    """
    if not rows:
        return []
    guesses = _guesses(rows)
    tried = [_tried(rows, *guess) for guess in guesses]
    return sorted(
        (one for one in tried if one.confidence > 0), key=lambda one: one.confidence, reverse=True
    )


def why_not(rows: Rows) -> str:
    """Why the likeliest shape does not take the first row; "" where no column is known."""
    guesses = _guesses(rows)
    if not guesses:
        return ""
    mapping, _, reason = max(guesses, key=lambda guess: guess[1])
    try:
        converted(rows[0], mapping, 0, 0, "")
    except RowProblem as problem:
        return f"{reason} But the first row cannot be used: {problem.message}"
    return ""


Guess = tuple[ColumnMapping, float, str]


def _guesses(rows: Rows) -> list[Guess]:
    found = (guess for find in FINDERS for guess in find(rows))
    return [(_with_more(rows, mapping), trust, said) for mapping, trust, said in found]


def _tried(rows: Rows, mapping: ColumnMapping, trust: float, reason: str) -> Proposal:
    done = trial(rows, mapping)
    share = done.fitting / len(rows)
    trust = round(trust * share, 3)
    return Proposal(mapping.shape, mapping, trust, reason, share, dict(done.lost))


@dataclass
class Trial:
    """How many rows convert; of how many what is lost, by name; why how many do not."""

    fitting: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def trial(rows: Rows, mapping: ColumnMapping) -> Trial:
    done = Trial()
    for row in rows:
        try:
            done.lost.update(converted(row, mapping, 0, 0, "")[1])
        except RowProblem as problem:
            done.refused[problem.message] += 1
            continue
        done.fitting += 1
    return done


def _names(rows: Rows) -> dict[str, str]:
    """Column names by their plain form, in their original order."""
    return {re.sub(r"[ -]", "_", name.lower()): name for row in rows for name in row}


def _first(names: Mapping[str, str], wanted: Sequence[str], but: str = "") -> str:
    return next((names[name] for name in wanted if name in names and names[name] != but), "")


def _sample(rows: Rows, name: str) -> Any:
    return next((row[name] for row in rows if row.get(name) not in (None, "", [])), None)


def _columns(**columns: str) -> dict[str, str]:
    return {role: name for role, name in columns.items() if name}


def _with_more(rows: Rows, mapping: ColumnMapping) -> ColumnMapping:
    """The mapping, with the columns that stand beside the turns under their usual names."""
    names = _names(rows)
    roles = {role.name for role in ROLES[mapping.shape]} & BESIDE.keys()
    found = {role: _first(names, BESIDE[role]) for role in BESIDE if role in roles}
    return replace(mapping, columns={**_columns(**found), **mapping.columns})


def _verl_rl(rows: Rows) -> Iterator[Guess]:
    names = _names(rows)
    reward = _sample(rows, names.get("reward_model", ""))
    if "prompt" not in names or not isinstance(reward, Mapping) or "ground_truth" not in reward:
        return
    columns = _columns(
        prompt=names["prompt"],
        reward_model=names["reward_model"],
        data_source=names.get("data_source", ""),
        ability=names.get("ability", ""),
    )
    mapping = ColumnMapping("rl", "verl_rl", columns, {})
    yield mapping, 1.0, "The columns are those that verl reads for RL."


def _talks(rows: Rows) -> Iterator[Guess]:
    names = _names(rows)
    for name in (names[known] for known in TALKS if known in names):
        talk = _sample(rows, name)
        turn = talk[0] if isinstance(talk, list) and talk else None
        if not isinstance(turn, Mapping):
            continue
        system = _columns(system=_first(names, SYSTEMS))
        if "from" in turn and "value" in turn:
            columns = {"conversations": name, **system}
            said = f"{name} holds turns of from and value, as ShareGPT writes them."
            yield ColumnMapping("sft", "sharegpt", columns, {}), 0.95, said
        elif "role" in turn and "content" in turn:
            verls = {name, "extra_info", "tools", "enable_thinking", "images", "videos"}
            shape = "verl_sft" if set(names.values()) <= verls else "messages"
            said = f"{name} holds turns of role and content."
            yield ColumnMapping("sft", shape, {"messages": name}, {}), 0.95, said


def _preference(rows: Rows) -> Iterator[Guess]:
    names = _names(rows)
    pair = next((pair for pair in _pairs() if set(pair) <= names.keys()), None)
    if pair is None:
        return
    chosen, rejected = (names[name] for name in pair)
    columns = _columns(
        prompt=_first(names, (*PROMPTS, *TALKS)),
        chosen=chosen,
        rejected=rejected,
        system=_first(names, SYSTEMS),
    )
    mapping = ColumnMapping("dpo", "preference", columns, {})
    yield mapping, 0.97, f"The columns {chosen} and {rejected} hold two answers."


def _pairs() -> Iterator[tuple[str, str]]:
    """Names of the better and the worse answer: good, good_answer, answer_good, …"""
    for better, worse in BETTER_AND_WORSE:
        yield better, worse
        for what in ANSWERS_OF_PAIRS:
            yield f"{better}_{what}", f"{worse}_{what}"
            yield f"{what}_{better}", f"{what}_{worse}"


def _instruction(rows: Rows) -> Iterator[Guess]:
    names = _names(rows)
    output = _first(names, OUTPUTS)
    if "instruction" not in names or not output:
        return
    columns = _columns(
        instruction=names["instruction"],
        input=_first(names, INPUTS),
        output=output,
        system=_first(names, SYSTEMS),
    )
    mapping = ColumnMapping("sft", "instruction", columns, {})
    yield mapping, 0.93, f"instruction and {output} are there, as Alpaca has them."


def _question_answer(rows: Rows) -> Iterator[Guess]:
    names = _names(rows)
    question = _first(names, QUESTIONS)
    answer = _first(names, ANSWERS, but=question)
    if not question or not answer:
        return
    sample = str(_sample(rows, answer) or "")
    hashes = HASHES in sample
    extract = "after_hashes" if hashes else "boxed" if "\\boxed{" in sample else "whole"
    source = f"={SOURCES[extract]}" if extract in SOURCES else ""
    columns = _columns(
        question=question, answer=answer, data_source=names.get("data_source", source)
    )
    options = {"extract": extract}
    said = f"{question} and {answer} are there"
    said += ", with the result after ####." if hashes else "."
    # Short answers are results to compare; long ones without a marker are texts to learn from.
    trust = 0.92 if hashes or extract == "boxed" else 0.75 if len(sample) < 60 else 0.4
    yield ColumnMapping("rl", "question_answer", columns, options), trust, said


def _prompt_response(rows: Rows) -> Iterator[Guess]:
    names = _names(rows)
    prompt = _first(names, PROMPTS)
    response = _first(names, RESPONSES, but=prompt)
    if not prompt or not response:
        return
    system = _first(names, SYSTEMS)
    columns = _columns(prompt=prompt, response=response, system=system)
    said = f"{prompt} and {response} look like a prompt and its answer."
    yield ColumnMapping("sft", "prompt_response", columns, {}), 0.7, said


def _text(rows: Rows) -> Iterator[Guess]:
    name = _first(_names(rows), ("text", "content"))
    if name:
        said = f"{name} is text without turns; all of it would be learnt as one answer."
        yield ColumnMapping("sft", "text", {"text": name}, {}), 0.2, said


FINDERS: tuple[Callable[[Rows], Iterator[Guess]], ...] = (
    _verl_rl,
    _talks,
    _preference,
    _instruction,
    _question_answer,
    _prompt_response,
    _text,
)
