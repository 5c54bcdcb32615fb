"""The text of single tokens; a token may be only a part of a character."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

SPACE = "\u2581"  # SentencePiece writes a space as this character


@cache
def byte_alphabet() -> dict[str, int]:
    """Map each character of byte-level BPE to its byte.

    Printable bytes stand for themselves; the others take 256, 257, … in order, as in GPT-2's
    vocabulary.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(256 + place): byte for place, byte in enumerate(others)}


class TokenTexts:
    """Texts of tokens by id, for one tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._whole = {id_: str(token) for id_, token in tokenizer.added_tokens_decoder.items()}
        self._byte_level = _is_byte_level(tokenizer)

    def of(self, ids: Sequence[int]) -> list[str]:
        """One text a token. Bytes that form no whole character by themselves are shown as \\xNN."""
        return [self._text(id_) for id_ in ids]

    def _text(self, id_: int) -> str:
        if id_ in self._whole:
            return self._whole[id_]
        token = str(self._tokenizer.convert_ids_to_tokens(id_))
        if self._byte_level:
            alphabet = byte_alphabet()
            if all(character in alphabet for character in token):
                return _shown(bytes(alphabet[character] for character in token))
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return _shown(bytes([int(token[3:5], 16)]))
        return token.replace(SPACE, " ")


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _is_byte_level(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.decoder is None:
        return False
    described = json.loads(backend.decoder.__getstate__())
    parts = described.get("decoders", [described])
    return any(part.get("type") == "ByteLevel" for part in parts)
