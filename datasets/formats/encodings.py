"""Text in another encoding than UTF-8, read as UTF-8."""

import codecs
from collections.abc import Iterator, Mapping

UTF8 = "utf-8"
ENCODINGS: Mapping[str, str] = {
    UTF8: "UTF-8",
    "utf-16": "UTF-16 (Excel's Unicode text)",
    "cp1252": "Windows-1252 (Western Europe)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "iso8859_15": "ISO-8859-15 (Latin 9)",
    "gb18030": "GB18030 (Chinese)",
    "shift_jis": "Shift JIS (Japanese)",
    "euc_kr": "EUC-KR (Korean)",
}


def as_utf8(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The same text in UTF-8. Raises ValueError where the bytes are no text in this encoding."""
    if encoding == UTF8:
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise ValueError(
            f"The file is not text in {ENCODINGS[encoding]}: {error}. Name another encoding."
        ) from None
