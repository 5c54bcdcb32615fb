"""The loss of a model on texts: the mean of -log p over all tokens that are predicted, in nats, and
its exponential, the perplexity.

A row that is too wide for memory at once is read in pieces, with the keys and values of what came
before, which gives the same sums.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from trainyard_node.evaluating.prompts import chunks
from trainyard_node.evaluating.texts import Text, Texts

LOGITS = {"cpu": 1 << 28, "cuda": 1 << 32}  # bytes of the logits of a batch


def batches(texts: Texts, left: Sequence[int], model: Any, most: int) -> list[list[int]]:
    """What is read at once: `most` rows, or as many as fit where that is 0."""
    room = 1 << 62 if most else piece_of(model)
    return [*chunks(left, texts.lengths, most or 256, room, 0)]


def piece_of(model: Any) -> int:
    """The tokens whose logits fit into the memory that they may take."""
    size: int = model.config.get_text_config().vocab_size * torch.float32.itemsize
    return max(16, LOGITS.get(model.device.type, 1 << 28) // (2 * size))


@torch.inference_mode()
def nll_of(model: Any, batch: Sequence[Text], pad: int) -> list[float]:
    """The sum of -log p over the predicted tokens of each text."""
    width = max(len(text.ids) for text in batch)
    ids, mask, wanted = (
        torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], device=model.device)
        for fill, rows in (
            (pad, [text.ids for text in batch]),
            (0, [[1] * len(text.ids) for text in batch]),
            (0, [text.mask for text in batch]),
        )
    )
    sums = torch.zeros(len(batch), dtype=torch.float64, device=model.device)
    piece = max(1, piece_of(model) // len(batch))
    cache, is_whole = None, width <= piece
    for first in range(0, width - 1, piece):
        end = min(width, first + piece)
        output = model(
            input_ids=ids[:, first:end], attention_mask=mask[:, :end], past_key_values=cache,
            use_cache=not is_whole,
        )  # fmt: skip
        cache = output.past_key_values if not is_whole else None
        last = min(end, width - 1)
        sums += _sums(output.logits[:, : last - first], ids, wanted, first, last)
    return [float(value) for value in sums]


def _sums(
    logits: torch.Tensor, ids: torch.Tensor, wanted: torch.Tensor, first: int, last: int
) -> torch.Tensor:
    """Of each row over the tokens after the places from `first` to `last`."""
    target, mask = ids[:, first + 1 : last + 1], wanted[:, first + 1 : last + 1]
    flat = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), target.flatten(), reduction="none"
    )
    # What is not predicted may be infinite: it is left out, not multiplied by 0.
    each = torch.where(mask.bool(), flat.view_as(target), 0.0)
    return each.double().sum(1)


def metrics_of(nll: float, tokens: int) -> dict[str, float]:
    """The loss and perplexity over all tokens. Nothing where no token was predicted."""
    if not tokens or not math.isfinite(nll):
        return {}
    loss = nll / tokens
    perplexity = math.exp(loss) if loss < 700 else None
    return {"eval/loss": loss} | ({"eval/perplexity": perplexity} if perplexity else {})
