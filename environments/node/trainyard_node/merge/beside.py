"""The files beside a model's weights: which of them a result takes over, and how."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainyard_node.export.refused import Refused

TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model", "tokenizer.model.v3", "tekken.json", "vocab.bpe", "bpe.codes",
    "*.tiktoken", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
# Code and settings that transformers loads with the model; no result is whole without them.
OF_MODEL = (
    "generation_config.json", "*.py", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json",
)  # fmt: skip
MOST_BYTES = 1 << 28  # of one file: the largest tokenizers have some ten MiB
MOST_FILES = 200
SNAPSHOTS, BLOBS = "snapshots", "blobs"  # of Hugging Face's cache, whose files are links


def copy_beside(source: Path, names: Sequence[str], folder: Path) -> None:
    """Copy the files of `source` that one of `names` fits. Raises Refused as `files_beside`."""
    for path in files_beside(source, names):
        shutil.copyfile(path, folder / path.name)


def files_beside(source: Path, names: Sequence[str]) -> list[Path]:
    """The files of `source` that one of `names` fits, each once.

    Raises Refused for a link that leads elsewhere, which may be to a file that is nobody's to pass
    on, and for more or larger files than a model has.
    """
    found = list(dict.fromkeys(path for name in names for path in _named(source, name)))
    if len(found) > MOST_FILES:
        raise Refused(f"{source} has {len(found)} files beside its weights, and at most "
                      f"{MOST_FILES} are taken over.")  # fmt: skip
    for path in found:
        _check(path)
    return found


def _named(source: Path, name: str) -> Iterator[Path]:
    for path in sorted(source.glob(name)):
        if path.is_file():
            yield path


def _check(path: Path) -> None:
    real = path.resolve()
    if not any(real.is_relative_to(home) for home in _homes(path.parent)):
        raise Refused(
            f"{path.name} of {path.parent} is a link out of its folder. Put the file itself there."
        )
    if (size := path.stat().st_size) > MOST_BYTES:
        raise Refused(
            f"{path.name} of {path.parent} has {size} bytes, and a file beside the weights has at "
            f"most {MOST_BYTES}."
        )


def _homes(folder: Path) -> Iterator[Path]:
    """Where the files of a folder may lie in truth."""
    yield folder.resolve()
    if folder.parent.name == SNAPSHOTS:
        yield (folder.parent.parent / BLOBS).resolve()
