"""Faults that one compiled row shows by itself."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from datasets.formats.scorers import scorer_of

Turns = Sequence[Mapping[str, Any]]
KNOWN_ROLES = ("system", "user", "assistant", "tool")
AFTER = {
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}


def faults_of(
    row: Mapping[str, Any], target: str, known_sources: Collection[str] | None
) -> Iterator[str]:
    """The codes of the row's faults, each once."""
    if target == "sft":
        yield from _turn_faults(row["messages"] or [], answer=True)
    elif target == "rl":
        yield from _turn_faults(row["prompt"] or [], answer=False)
        yield from _reward_faults(row, known_sources)
    else:
        yield from _pair_faults(row)


def _turn_faults(turns: Turns, *, answer: bool) -> Iterator[str]:
    if not turns:
        yield "no_messages" if answer else "no_prompt"
        return
    if any(not ((turn["content"] or "").strip() or turn.get("tool_calls")) for turn in turns):
        yield "empty_turn"
    roles = [turn["role"] for turn in turns]
    if any(role not in KNOWN_ROLES for role in roles):
        yield "unknown_role"
    elif not _in_order(roles):
        yield "role_order"
    if answer and "assistant" not in roles:
        yield "no_answer"
    elif (roles[-1] == "assistant") != answer:
        yield "role_order" if _in_order(roles) else "no_answer" if answer else "no_prompt"


def _in_order(roles: Sequence[str]) -> bool:
    if roles[0] not in ("system", "user"):
        return False
    return all(later in AFTER[one] for one, later in pairwise(roles))


def _reward_faults(row: Mapping[str, Any], known: Collection[str] | None) -> Iterator[str]:
    reward = row["reward_model"] or {}
    truth = reward.get("ground_truth")
    if reward.get("style", "rule") == "rule" and (truth is None or not str(truth).strip()):
        yield "missing_truth"
    source = row["data_source"] or ""
    if known is not None and source not in known and scorer_of(source) is None:
        yield "unknown_source"


def _pair_faults(row: Mapping[str, Any]) -> Iterator[str]:
    prompt, chosen, rejected = (row[name] or [] for name in ("prompt", "chosen", "rejected"))
    found = {*_turn_faults(prompt, answer=False)}
    for answer in (chosen, rejected):
        found |= {*_turn_faults([*prompt, *answer], answer=True)} if answer else {"no_answer"}
    if chosen and chosen == rejected:
        found.add("same_answers")
    yield from sorted(found)
