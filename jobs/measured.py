"""Figures of runs that jobs need. The app that keeps the metrics registers their source."""

from collections.abc import Callable, Collection, Mapping

SAVE_TIME = "timing_s/save_checkpoint"  # the metric of a save's duration, in seconds
Longest = Callable[[Collection[int], str], Mapping[int, float]]
_longest: list[Longest] = []


def register(longest: Longest) -> None:
    """``longest(job ids, metric)`` is the greatest value of a metric by job, where it has any."""
    _longest[:] = [longest]


def longest_saves(job_ids: Collection[int]) -> Mapping[int, float]:
    """Seconds that the longest save of each job took, by id; a job that never saved is left out."""
    return _longest[0](job_ids, SAVE_TIME) if _longest and job_ids else {}
