"""One tensor through its rule: the looks that it needs, then the merged rows."""

from collections.abc import Callable, Iterator

from torch import Tensor

from trainyard_node.merge.rules.base import Chunk, Rule

Chunks = Callable[[], Iterator[Chunk]]
MOST_LOOKS = 64


def merged(rule: Rule, chunks: Chunks, sample: Callable[[], Chunk]) -> Iterator[Tensor]:
    """The merged chunks in their order. `chunks` begins anew at each call, `sample` gives rows from
    all over the tensor; neither is called without need."""
    if rule.must_look():
        rule.sample(sample())
        for _ in range(MOST_LOOKS):
            for chunk in chunks():
                rule.look(chunk)
            if rule.settle():
                break
        else:
            raise RuntimeError(f"{type(rule).__name__} did not settle")
    for chunk in chunks():
        yield rule.make(chunk)
