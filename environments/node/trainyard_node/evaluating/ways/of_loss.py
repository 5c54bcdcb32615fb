"""The way `loss`: how well a model predicts the texts of a data set."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainyard_node.evaluating import losses, model, texts
from trainyard_node.evaluating.journal import Journal, Line
from trainyard_node.evaluating.model import Described
from trainyard_node.evaluating.place import Place
from trainyard_node.evaluating.program import Work, kept_in_words, name_of
from trainyard_node.evaluating.prompts import SPOOL
from trainyard_node.evaluating.spec import Asked
from trainyard_node.evaluating.telling import Progress
from trainyard_node.evaluating.texts import Texts
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told

KEPT = ".rows.jsonl"


@dataclass
class Found:
    """The sums of the rows by their number; `nll` is None where it is no number."""

    rows: dict[int, tuple[float | None, int]] = field(default_factory=dict)
    nll: float = 0.0
    tokens: int = 0

    def take(self, line: Line) -> None:
        """Count a row that is done."""
        nll, tokens = line["nll"], line["tokens"]
        self.rows[line["index"]] = (nll, tokens)
        if nll is not None:
            self.nll += nll
            self.tokens += tokens

    def exact(self) -> dict[str, float]:
        """The metrics, whatever the order in which the rows came."""
        known = [(nll, tokens) for nll, tokens in self.rows.values() if nll is not None]
        return losses.metrics_of(math.fsum(nll for nll, _ in known), sum(n for _, n in known))


def look(asked: Asked, folder: Path) -> dict[str, Any]:
    """What would be read. Raises Refused."""
    found = texts.spooled(asked, model.describe(asked), folder)
    tokens = sum(found.lengths.values())
    return {"prompts": len(found.keys), "too_long": len(found.too_long), "tokens": tokens}


def run(asked: Asked, place: Place, told: Told) -> None:
    """Compute the loss of every row. Raises Refused."""
    work = Work(asked, place, told)
    described = model.describe(asked)
    read = texts.spooled(asked, described, place.folder)
    same = {
        "data": read.digest, "rows": len(read.keys), "template": _template(described),
        "template_kwargs": dict(asked.template_kwargs), "tokenizer": described.vocabulary(),
        "max_prompt_tokens": asked.max_prompt_tokens,
    }  # fmt: skip
    found = Found()
    journal, kept = place.go_on(work.state(same, described), place.folder / KEPT, _key, found.take)
    progress = work.progress(len(read.places), kept_in_words(kept, "rows"))
    work.part("prepare")
    loaded = model.load(described, asked.dtype)
    work.dtype = str(loaded.dtype).removeprefix("torch.")
    work.part("load")
    _read_all(asked, described, read, loaded, found, journal, progress)
    journal.close()
    work.part("forward")
    counts = _counts(read, found)
    _say_what_is_left_out(work, read, counts)
    if not counts["tokens"]:
        raise Refused("There is no loss: no row has a token that is predicted, or all of these "
                      "losses are no numbers.")  # fmt: skip
    of = {"digest": read.digest, "prompts": len(read.keys), "name": name_of(asked)}
    work.end(progress, same, of, found.exact(), counts, _scores(read, found))
    for name in (KEPT, SPOOL):
        (place.folder / name).unlink(missing_ok=True)


def _read_all(
    asked: Asked, described: Described, read: Texts, loaded: Any, found: Found,
    journal: Journal, progress: Progress,
) -> None:  # fmt: skip
    left = [index for index in read.longest_first() if index not in found.rows]
    for batch in losses.batches(read, left, loaded, asked.batch_size):
        some = read.at(batch)
        sums = losses.nll_of(loaded, some, described.pad)
        lines = [
            {"index": text.index, "nll": value if math.isfinite(value) else None,
             "tokens": sum(text.mask[1:])}
            for text, value in zip(some, sums, strict=True)
        ]  # fmt: skip
        journal.keep(lines)
        for line in lines:
            found.take(line)
        progress.move(len(found.rows), dict(losses.metrics_of(found.nll, found.tokens)))


def _counts(read: Texts, found: Found) -> dict[str, int]:
    return {
        "prompts": len(read.keys), "answers": 0, "failed_scores": 0,
        "too_long": len(read.too_long), "clipped": 0,
        "empty": sum(not tokens for _, tokens in found.rows.values()),
        "not_finite": sum(nll is None for nll, _ in found.rows.values()),
        "tokens": sum(tokens for nll, tokens in found.rows.values() if nll is not None),
    }  # fmt: skip


def _say_what_is_left_out(work: Work, read: Texts, counts: dict[str, int]) -> None:
    if read.too_long:
        least = min(read.too_long.values())
        work.left_out.append(
            f"{len(read.too_long)} of {len(read.keys)} rows are longer than the model reads, the "
            f"shortest of them {least} tokens: they are in no figure."
        )
    if counts["not_finite"]:
        work.left_out.append(
            f"{counts['not_finite']} rows have a loss that is no number: they are in no figure."
        )
    if counts["empty"]:
        work.left_out.append(f"{counts['empty']} rows have no token that is predicted.")


def _scores(read: Texts, found: Found) -> Iterator[Line]:
    for index, key in enumerate(read.keys):
        nll, tokens = found.rows.get(index, (None, 0))
        more = {"too_long": read.too_long[index]} if index in read.too_long else {}
        yield {"prompt": key, "text": read.heads[index], "nll": nll, "tokens": tokens, **more}


def _key(line: Line) -> int | None:
    index, tokens, nll = line.get("index"), line.get("tokens"), line.get("nll", "")
    is_whole = type(index) is int and type(tokens) is int and (nll is None or type(nll) is float)
    return index if is_whole else None


def _template(described: Described) -> str:
    return str(described.tokenizer.chat_template or "")
