"""What evaluations say of models and checkpoints. The app that evaluates registers itself."""

from collections.abc import Callable, Collection, Mapping

Scores = Mapping[int, Mapping[str, float]]  # by artifact, then by the name of a figure
Source = Callable[[Collection[int]], Scores]

_source: list[Source] = []


def register(source: Source) -> None:
    _source[:] = [source]


def scores_of(artifacts: Collection[int]) -> Scores:
    """The newest figures of these artifacts. One that nobody evaluated is left out."""
    return _source[0](artifacts) if _source and artifacts else {}
