"""Find the format of a file from its name and its first bytes, which must agree."""

from contextlib import closing
from pathlib import Path

import orjson

from datasets.formats.csv_head import LINE_END
from datasets.formats.encodings import UTF8, as_utf8
from datasets.formats.stream import Limits, Stream

BY_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
TO_PARQUET = "save it as parquet, with datasets.load_from_disk(FOLDER).to_parquet(FILE)"
NAME_IT = "name the encoding utf-16 when you import it, or save it as UTF-8"
FOREIGN = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet): unpack it, or save it as CSV",
    b"ARROW1": f"an Arrow file: {TO_PARQUET}",
    b"\xff\xff\xff\xff": f"an Arrow file: {TO_PARQUET}",
    b"BZh": "packed with bzip2: unpack it",
    b"\xfd7zXZ": "packed with xz: unpack it",
    b"\x28\xb5\x2f\xfd": "packed with zstd: unpack it",
    b"\xff\xfe": f"UTF-16 text: {NAME_IT}",
    b"\xfe\xff": f"UTF-16 text: {NAME_IT}",
    b"%PDF": "a PDF document: rows are needed",
    b"version https://git-lfs": "a pointer of Git LFS, and not the data: git lfs pull brings them",
    b"SQLite format 3": "an SQLite database: export the table as CSV",
}


def format_of(path: Path, name: str, limits: Limits, encoding: str = UTF8) -> str:
    """ "jsonl", "json", "csv" or "parquet". Raises ValueError with a sentence."""
    if path.is_dir():
        raise ValueError(_folder(path))
    with Stream(path, limits) as stream:
        packed = stream.packed
        with closing(stream.blocks()) as blocks:
            head = next((block for block in blocks if block.strip()), b"")
    if name.lower().endswith(".gz") and not packed:
        raise ValueError(f"{name} says that it is packed with gzip, and it is not.")
    named = BY_SUFFIX.get(Path(name.lower().removesuffix(".gz")).suffix)
    if head.startswith(b"PAR1"):
        return _agreed(name, named, "parquet", head)
    is_text = encoding != UTF8
    if is_text:
        head = next(as_utf8(iter([head]), encoding))
    return _agreed(name, named, _content(head, is_text), head)


def _folder(path: Path) -> str:
    names = sorted(entry.name for entry in path.iterdir())
    if {"state.json", "dataset_dict.json"} & set(names):
        return f"{path} is a folder that save_to_disk has made: {TO_PARQUET}, and import that file."
    files = [name for name in names if Path(name.removesuffix(".gz")).suffix in BY_SUFFIX]
    found = f" It has {', '.join(files[:5])}." if files else ""
    return f"{path.name} is a folder; a file is needed.{found}"


def _content(head: bytes, is_text: bool) -> str:
    for magic, what in FOREIGN.items():
        if head.startswith(magic) and not is_text:
            raise ValueError(f"The file is {what}. JSON, JSONL, CSV and parquet can be imported.")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise ValueError("The file is empty: it has no rows.")
    if text.startswith(b"["):
        return "jsonl" if _is_value(text) and b"\n[" in text else "json"
    if text.startswith(b"{"):
        return "jsonl" if _is_value(text) or b"\n{" in text else "json"
    return "text"


def _is_value(text: bytes) -> bool:
    """Whether the first line is a complete JSON value, and more lines follow."""
    line, *rest = LINE_END.split(text, maxsplit=1)
    if not rest or not rest[0].strip():
        return False
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _agreed(name: str, named: str | None, content: str, head: bytes) -> str:
    if named is None and content == "text":
        raise ValueError(
            f"What {name} holds is not known: JSON, JSONL, CSV and parquet can be imported, and "
            "the name ends in .json, .jsonl, .csv or .parquet (and .gz). Plain text has no rows: "
            'write each text as a line such as {"text": "…"} in a .jsonl file.'
        )
    if named is None or named == content:
        return content
    if named == "csv" and content != "parquet":
        return "csv"  # a CSV header may begin with any character
    if named == "json" and content == "jsonl":
        return "jsonl"
    if named == "jsonl" and content in ("json", "text"):
        return _lines_or_array(name, head)
    holds = "something else" if content == "text" else content
    raise ValueError(f"{name} says that it is {named}, but it holds {holds}.")


def _lines_or_array(name: str, head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"[") and not text[1:].lstrip().startswith((b"[", b'"', b"]")):
        raise ValueError(f"{name} says that it is jsonl, but it holds a JSON array: call it .json.")
    return "jsonl"
