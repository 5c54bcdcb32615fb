"""The longest rows of the job's data, as small files with the same columns."""

import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainyard_node.hooks.absent import present
from trainyard_node.rehearse.plan import Doubt, Fault, Move, Plan, sentence
from trainyard_node.rehearse.shrink import folder_of

LOOKED_AT = 64  # of the longest by their letters, so many are counted in tokens
MOST_LOOKED_AT = 2000  # where many are over the limit and dropped
COLUMNS = {"rl": ("prompt",), "sft": ("messages",), "dpo": ("prompt", "chosen", "rejected")}
BATCH = 1024
TEXT = "a 1"  # every tokenizer knows some of it


def check_data(plan: Plan) -> str:
    """Write the longest rows of each file. Raises Fault, and Doubt where rows will be cut."""
    tokenizer = load_tokenizer(plan)
    said, doubts = [], []
    for name, move in plan.files.items():
        rows = plan.rows if name == "train" else plan.val_rows
        count = count_rows(move.source)
        if name == "train" and count < plan.batch:
            raise Fault(f"{move.source} has {count} rows, fewer than a batch of {plan.batch}.")
        chosen = longest(plan, move.source, tokenizer)
        lengths = [length for length, _ in chosen]
        if over := [length for length in lengths if length > plan.limit]:
            doubts.append(_overlong(plan, move, over))
        chosen = _fitting(plan, move, chosen)[: plan.distinct or rows]
        write(move, [index for _, index in chosen], rows)
        said.append(
            f"{name}: {count} rows, of which the longest to be used has {chosen[0][0]} tokens "
            f"of {plan.limit}"
        )
    if doubts:
        raise Doubt(" ".join(doubts))
    return sentence(*said)


def _overlong(plan: Plan, move: Move, over: list[int]) -> str:
    what = f"{move.source} has rows over {plan.limit} tokens: the longest has {max(over)}"
    if plan.overlong == "error":
        raise Fault(f"{what}. Raise the limit, or have such rows dropped or cut.")
    return f"{what}; they are {plan.overlong}."


def _fitting(plan: Plan, move: Move, chosen: list[tuple[int, int]]) -> list[tuple[int, int]]:
    if plan.overlong != "dropped":
        return chosen
    fitting = [(length, index) for length, index in chosen if length <= plan.limit]
    if not fitting:
        raise Fault(f"No row of {move.source} has at most {plan.limit} tokens: none would be left.")
    return fitting


def load_tokenizer(plan: Plan) -> Any:
    from transformers import AutoTokenizer

    folder = folder_of(next(iter(plan.models.values())).source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:
        raise Fault(f"The tokenizer of {folder} cannot be loaded: {error}") from error
    if not tokenizer.decode(tokenizer.encode(TEXT, add_special_tokens=False)).strip():
        raise Fault(f"The tokenizer of {folder} cannot be loaded: it knows no letters.")
    if not tokenizer.chat_template:
        raise Fault(f"The tokenizer of {folder} has no chat template.")
    if tokenizer.eos_token_id is None:
        raise Fault(f"The tokenizer of {folder} names no end token.")
    return tokenizer


def count_rows(path: str) -> int:
    return int(open_file(path).metadata.num_rows)


def open_file(path: str) -> Any:
    from pyarrow import ArrowException, parquet

    try:
        return parquet.ParquetFile(path)
    except FileNotFoundError:
        raise Fault(f"There is no file {path}.") from None
    except (OSError, ArrowException) as error:
        raise Fault(f"{path} is no parquet file that can be read: {error}") from None


def longest(plan: Plan, path: str, tokenizer: Any) -> list[tuple[int, int]]:
    """(tokens, row) of the longest rows, the longest first. Raises Fault."""
    most = MOST_LOOKED_AT if plan.overlong == "dropped" else max(LOOKED_AT, plan.rows)
    rows = heapq.nlargest(most, _by_letters(plan, path), key=lambda row: row[0])
    if not rows:
        raise Fault(f"{path} has no rows.")
    return sorted(
        ((tokens(plan, tokenizer, row, index), index) for _, index, row in rows), reverse=True
    )


def _by_letters(plan: Plan, path: str) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
    file = open_file(path)
    names = columns_of(plan)
    there = file.schema_arrow.names
    if lacking := [name for name in names if name not in there]:
        raise Fault(f"{path} has no column {', '.join(lacking)}; it has {', '.join(there)}.")
    index = 0
    for batch in file.iter_batches(batch_size=BATCH, columns=list(names)):
        for row in batch.to_pylist():
            yield len(str(row)), index, row
            index += 1


def columns_of(plan: Plan) -> tuple[str, ...]:
    first, *more = COLUMNS[plan.target]
    return (plan.column or first, *more)


def tokens(plan: Plan, tokenizer: Any, row: Mapping[str, Any], index: int) -> int:
    """The tokens of a row by the model's own chat template. Raises Fault where that refuses it."""
    return max(_tokens(plan, tokenizer, turns, index) for turns in talks(plan, row, index))


def talks(plan: Plan, row: Mapping[str, Any], index: int) -> list[list[Any]]:
    first, *answers = (row[name] for name in columns_of(plan))
    for turns in (first, *answers):
        if not isinstance(turns, list) or not turns or not all(map(_is_turn, turns)):
            raise Fault(f"Row {index} holds no turns with a role and a content: {str(turns)[:80]}")
    first = [present(turn) for turn in first]
    return [[*first, *map(present, answer)] for answer in answers] or [first]


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and "role" in turn and "content" in turn


def _tokens(plan: Plan, tokenizer: Any, turns: list[Any], index: int) -> int:
    try:
        text = tokenizer.apply_chat_template(
            turns,
            add_generation_prompt=plan.target == "rl",
            tokenize=False,
            **plan.template_kwargs,
        )
    except Exception as error:  # a template may raise anything
        raise Fault(f"The chat template refuses row {index}: {error}") from error
    return len(tokenizer.encode(text, add_special_tokens=False))


def write(move: Move, indexes: list[int], rows: int) -> None:
    """The chosen rows with all their columns; where there are too few, some of them again."""
    import pyarrow as pa
    from pyarrow import parquet

    wanted = [indexes[place % len(indexes)] for place in range(rows)]
    parts, start = [], 0
    for batch in open_file(move.source).iter_batches(batch_size=BATCH):
        here = [index - start for index in sorted(set(wanted)) if 0 <= index - start < len(batch)]
        parts.append(pa.Table.from_batches([batch]).take(here)) if here else None
        start += len(batch)
    table = pa.concat_tables(parts)
    order = {index: place for place, index in enumerate(sorted(set(wanted)))}
    Path(move.target).parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.take([order[index] for index in wanted]), move.target)
