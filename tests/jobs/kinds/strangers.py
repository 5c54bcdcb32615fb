"""What entry points of other people's packages may name, most of it no kind of job."""

from collections.abc import Mapping
from typing import Any

from jobs.kinds.base import End, JobKind, Verdict
from jobs.kinds.registry import Unread
from jobs.process import Command, Placement


class Whole(JobKind):
    slug = "whole"
    label = "Whole"

    def read(self, data: Mapping[str, Any]) -> Unread:
        return Unread(self.slug, data)

    def command(self, spec: Any, placement: Placement, origins: Mapping[str, str]) -> Command:
        return Command(("true",), {}, placement.run_dir)

    def judge(self, spec: Any, end: End) -> Verdict:
        return Verdict("failed", "Never.")


class Raises(Whole):
    def __init__(self) -> None:
        raise RuntimeError("not today")


class Unfinished(JobKind):
    slug = "unfinished"
    label = "Unfinished"


class NoKind:
    slug = "none"
    label = "None"


class Sft(Whole):
    slug = "sft"


class Shouting(Whole):
    slug = "LOUD Kind"


class Nameless(Whole):
    label = ""


class Gauges(Whole):
    panels = ("log", "gauges")


class Twice(Whole):
    panels = ("log", "log")
