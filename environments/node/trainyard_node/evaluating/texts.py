"""From rows to tokens with a loss mask: the same that verl's SFT trainer makes of them.

A row has `messages`, which verl's own data set class encodes, or a `text`, of which every token but
the first is predicted.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from trainyard_node.evaluating.journal import encoded
from trainyard_node.evaluating.model import Described
from trainyard_node.evaluating.prompts import SHOWN, SPOOL, check_template
from trainyard_node.evaluating.rows import Row, rows_of
from trainyard_node.evaluating.spec import Asked
from trainyard_node.export.refused import Refused

AT_ONCE = 256
LONGEST_HEAD = 200  # characters of a text, where texts are listed
MESSAGES, TEXT = "messages", "text"
COLUMNS = (MESSAGES, "tools", "enable_thinking")


@dataclass(frozen=True)
class Text:
    """`mask` is 1 for a token that is predicted."""

    index: int
    ids: tuple[int, ...]
    mask: tuple[int, ...]


@dataclass
class Texts:
    """All texts, in a file: of each only its place, its length and its beginning are held."""

    path: Path
    keys: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    too_long: dict[int, int] = field(default_factory=dict)
    digest: str = ""

    def at(self, indices: Sequence[int]) -> list[Text]:
        found = []
        with self.path.open("rb") as file:
            for index in indices:
                offset, size = self.places[index]
                file.seek(offset)
                data = json.loads(file.read(size))
                found.append(Text(index, tuple(data["ids"]), tuple(data["mask"])))
        return found

    def longest_first(self) -> list[int]:
        return sorted(self.lengths, key=lambda index: (-self.lengths[index], index))


def spooled(asked: Asked, described: Described, folder: Path) -> Texts:
    """Write the tokens of all rows. Raises Refused where a row is neither, or all are too long."""
    texts = Texts(folder / SPOOL)
    digest, at = sha256(), 0
    most = min(described.context, asked.max_prompt_tokens or described.context)
    with texts.path.open("wb") as out:
        for index, (said, ids, mask) in enumerate(_encoded(asked, described)):
            digest.update(encoded({"text": said}))
            texts.keys.append(sha256(said.encode("utf-8", "replace")).hexdigest()[:16])
            texts.heads.append(said[:LONGEST_HEAD])
            texts.lengths[index] = len(ids)
            if len(ids) > most:
                texts.too_long[index] = texts.lengths.pop(index)
                continue
            line = encoded({"ids": ids, "mask": mask})
            texts.places[index] = (at, out.write(line))
            at += len(line)
    texts.digest = digest.hexdigest()
    if not texts.keys:
        raise Refused("The files have no rows.")
    if not texts.places:
        least = min(texts.too_long.values())
        raise Refused(f"All {len(texts.keys)} rows are too long: the shortest has {least} tokens, "
                      f"and the model reads {most}.")  # fmt: skip
    return texts


def _encoded(asked: Asked, described: Described) -> Iterator[tuple[str, list[int], list[int]]]:
    rows = enumerate(rows_of(asked.files, asked.limit))
    while some := [*islice(rows, AT_ONCE)]:
        first, row = some[0]
        if MESSAGES in row:
            yield from _of_messages([row for _, row in some], first, asked, described)
        elif isinstance(row.get(TEXT), str):
            yield from _of_texts([row for _, row in some], first, described)
        else:
            raise Refused(
                f"Row {first} has neither messages nor a text: the loss is of rows of SFT, or of "
                "plain text."
            )


def _of_texts(
    rows: Sequence[Row], first: int, described: Described
) -> Iterator[tuple[str, list[int], list[int]]]:
    for index, row in enumerate(rows, first):
        said = row.get(TEXT)
        if not isinstance(said, str):
            raise Refused(f"Row {index} has no text.")
        ids = [int(token) for token in described.tokenizer.encode(said)]
        yield said, ids, [0, *[1] * (len(ids) - 1)][: len(ids)]


def _of_messages(
    rows: Sequence[Row], first: int, asked: Asked, described: Described
) -> Iterator[tuple[str, list[int], list[int]]]:
    check_template(described)
    data = _data_set(rows, first, asked, described)
    for index in range(len(rows)):
        try:
            found = data[index]
        except Exception as error:  # a template raises what it likes
            words = " ".join(str(error).split())
            raise Refused(f"verl cannot encode row {first + index}: {words}"[:SHOWN]) from error
        said = json.dumps(rows[index][MESSAGES], sort_keys=True, default=str)
        yield said, found["input_ids"].tolist(), found["loss_mask"].tolist()


def _data_set(rows: Sequence[Row], first: int, asked: Asked, described: Described) -> Any:
    """verl's data set over some rows, which are read already; hooked as in a run of training."""
    import pandas
    from omegaconf import OmegaConf
    from verl.utils.dataset import multiturn_sft_dataset as of_verl

    from trainyard_node.hooks import absent

    absent.attach_to_sft(of_verl)
    table = [{name: row.get(name) for name in COLUMNS if name in row} for row in rows]
    for index, row in enumerate(table, first):
        if not isinstance(row.get(MESSAGES), list) or not row[MESSAGES]:
            raise Refused(f"Row {index} has no messages.")

    class Some(of_verl.MultiTurnSFTDataset):
        def _read_files_and_process(self) -> None:
            self.dataframe = pandas.DataFrame(table, dtype=object)
            nested = of_verl.convert_nested_value_to_list_recursive
            self.messages = [nested(row[MESSAGES]) for row in table]
            self.tools = _column(table, "tools", absent.pruned)
            self.enable_thinking = _column(table, "enable_thinking", lambda value: value)
            self.system_prompt, self.generation_prompt = (
                of_verl.extract_system_prompt_and_generation(
                    self.tokenizer, **self.apply_chat_template_kwargs
                )
            )

    config = OmegaConf.create(
        {"pad_mode": "no_padding", "truncation": "error", "max_length": 1 << 30,
         "apply_chat_template_kwargs": dict(asked.template_kwargs)}
    )  # fmt: skip
    return Some([], described.tokenizer, config)


def _column(table: Sequence[Mapping[str, Any]], name: str, change: Any) -> list[Any] | None:
    if not any(name in row for row in table):
        return None
    return [change(row.get(name)) for row in table]
