"""A row as the model sees it: its tokens, the loss mask, and the tokens that are cut."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from datasets.formats.chat import Chat, ChatOptions, Pieces, Refusal, Row
from datasets.formats.pairs import Pair, pair_of, truncate
from datasets.formats.token_text import TokenTexts
from datasets.formats.tokenizer_dir import read_tokenizer

TARGETS = ("sft", "rl", "dpo")
TRUNCATIONS = ("error", "left", "right")
REFUSED = -1
BATCH = 1000


class Token(NamedTuple):
    """One token. ``text`` shows bytes that form no whole character by themselves as \\xNN."""

    id: int
    text: str
    bears_loss: bool


@dataclass(frozen=True)
class RowView:
    """One row as a trainer reads it.

    ``tokens`` are kept, ``cut_left`` and ``cut_right`` are dropped by truncation; ``total`` counts
    all three. ``refusal`` says why the trainer stops at this row (or leaves it out), else it is
    empty; the tokens are then shown as far as they are known. For "dpo" the view is the prompt with
    the chosen answer, and ``rejected`` the prompt with the other one.
    """

    tokens: tuple[Token, ...] = ()
    total: int = 0
    cut_left: tuple[Token, ...] = ()
    cut_right: tuple[Token, ...] = ()
    refusal: str = ""
    rejected: "RowView | None" = None

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def loss_mask(self) -> list[int]:
        return [int(token.bears_loss) for token in self.tokens]


def load(model_dir: Path, options: ChatOptions | None = None) -> "ChatTokenizer":
    """Load a model folder's tokenizer. Raises ValueError with a sentence if it is unusable."""
    return ChatTokenizer(read_tokenizer(Path(model_dir)), options or ChatOptions())


class ChatTokenizer:
    """Rows of a compiled data set, as tokens. Safe to use from several threads."""

    def __init__(self, tokenizer: Any, options: ChatOptions) -> None:
        self.options = options
        self._chat = Chat(tokenizer, options)
        self._texts = TokenTexts(tokenizer)

    def lengths(self, rows: Sequence[Row], target: str) -> list[int]:
        """Tokens of each row before any cut: for "rl" the prompt, for "dpo" the longer side.

        ``REFUSED`` (-1) stands for a row that the chat template refuses.
        """
        _known("target", target, TARGETS)
        found: list[int] = []
        for start in range(0, len(rows), BATCH):
            found += self._batch_lengths(rows[start : start + BATCH], target)
        return found

    def view(
        self, row: Row, target: str, max_length: int | None = None, truncation: str = "error"
    ) -> RowView:
        """One row as the trainer of ``target`` reads it, with at most ``max_length`` tokens.

        For "sft", ``truncation`` is verl's ``data.truncation``: with ``pad_mode`` "no_padding" verl
        cuts on the right even for "left", and so does this function. A prompt of "rl" is never cut.
        Raises ValueError for an unknown target or truncation, never for the row.
        """
        _known("target", target, TARGETS)
        _known("truncation", truncation, TRUNCATIONS)
        if target == "sft":
            return self._sft_view(row, max_length, truncation)
        if target == "rl":
            return self._rl_view(row, max_length)
        return self._dpo_view(row, max_length, truncation)

    def _batch_lengths(self, rows: Sequence[Row], target: str) -> list[int]:
        if target == "dpo":
            return [self._pair_length(row) for row in rows]
        if target == "sft":
            return [self._sft_length(row) for row in rows]
        return self._counted([self._text(row) for row in rows])

    def _sft_length(self, row: Row) -> int:
        """Turn by turn, as the view and verl read it: what verl refuses is refused here."""
        try:
            return len(self._chat.sft(row).ids) or REFUSED
        except Refusal:
            return REFUSED

    def _pair_length(self, row: Row) -> int:
        try:
            return pair_of(self._chat, row).length
        except Refusal:
            return REFUSED

    def _text(self, row: Row) -> str | None:
        try:
            return self._chat.prompt_text(row)
        except Refusal:
            return None

    def _counted(self, texts: Sequence[str | None]) -> list[int]:
        counts = iter(self._chat.count([text for text in texts if text is not None]))
        return [REFUSED if text is None else next(counts) for text in texts]

    def _sft_view(self, row: Row, max_length: int | None, truncation: str) -> RowView:
        try:
            whole = self._shown(self._chat.sft(row))
        except Refusal as refusal:
            return self._shown(refusal.pieces, str(refusal))
        if max_length is None or whole.total <= max_length:
            return whole
        if truncation == "error":
            reason = f"sequence_length={whole.total} is larger than self.max_length={max_length}"
            return replace(whole, refusal=reason)
        from_left = truncation == "left" and self.options.pad_mode == "right"
        return _cut(whole, whole.total - max_length if from_left else 0, max_length)

    def _rl_view(self, row: Row, max_length: int | None) -> RowView:
        try:
            ids = self._chat.prompt(row)
        except Refusal as refusal:
            return RowView(refusal=str(refusal))
        whole = self._shown(Pieces(ids, [0] * len(ids)))
        if max_length is None or whole.total <= max_length:
            return whole
        reason = (
            f"The prompt has {whole.total} tokens, more than data.max_prompt_length={max_length}: "
            "with data.filter_overlong_prompts=True verl leaves it out; else it is not cut, and "
            "the answer has less room."
        )
        return replace(whole, refusal=reason)

    def _dpo_view(self, row: Row, max_length: int | None, truncation: str) -> RowView:
        try:
            whole = pair_of(self._chat, row)
        except Refusal as refusal:
            return RowView(refusal=str(refusal))
        try:
            kept = whole if max_length is None else truncate(whole, max_length, truncation)
        except Refusal as refusal:
            return self._sides(whole, whole, str(refusal))
        return self._sides(whole, kept)

    def _sides(self, whole: Pair, kept: Pair, refusal: str = "") -> RowView:
        start = len(whole.prompt) - len(kept.prompt)
        chosen, rejected = (
            _cut(self._shown(whole.sequence(all_), refusal), start, len(kept.prompt) + len(left))
            for all_, left in ((whole.chosen, kept.chosen), (whole.rejected, kept.rejected))
        )
        return replace(chosen, rejected=rejected)

    def _shown(self, pieces: Pieces, refusal: str = "") -> RowView:
        texts = self._texts.of(pieces.ids)
        tokens = map(Token, pieces.ids, texts, map(bool, pieces.mask))
        return RowView(tuple(tokens), len(pieces.ids), refusal=refusal)


def _cut(whole: RowView, start: int, kept: int) -> RowView:
    end = start + kept
    return replace(
        whole,
        tokens=whole.tokens[start:end],
        cut_left=whole.tokens[:start],
        cut_right=whole.tokens[end:],
    )


def _known(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"The {what} is {value!r}; it is one of {', '.join(choices)}.")
