"""The counts that the platform is held against are those of the installed transformers."""

import parameter_counts
import sampling_caches


def test_the_kept_counts_are_those_of_transformers() -> None:
    kept = parameter_counts.KEPT.read_text(encoding="utf-8")
    assert kept == "[\n" + ",\n".join(parameter_counts.lines()) + "\n]\n"


def test_the_kept_sizes_of_caches_are_those_of_transformers() -> None:
    kept = sampling_caches.KEPT.read_text(encoding="utf-8")
    assert kept == "[\n" + ",\n".join(sampling_caches.lines()) + "\n]\n"
