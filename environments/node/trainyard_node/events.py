"""The kinds of events that a run writes into its `events.jsonl`."""

from typing import Literal, get_args

EventName = Literal[
    "started",
    "phase",
    "checkpoint",
    "paused",
    "stop_asked",
    "killed",
    "leftovers_ended",
    "leftovers_stuck",
    "exited",
    "planned",
    "merged",
    "checking",
    "exported",
    "made",
    "tried",
    "compared",
    "evaluated",
    "refused",
    "rehearsed",
    "dry_fired",
    "fault_found",
    "answers_lost",
    "validation_lost",
    "prompts_left_out",
    "answers_cut",
    "rows_cut",
]
NAMES: tuple[str, ...] = get_args(EventName)
