"""What kinds share that make one model on the CPU of the machine where its inputs lie."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from jobs.kinds.base import (
    MODEL,
    End,
    FileFact,
    JobKind,
    Measured,
    Product,
    Read,
    Verdict,
    ended_early,
)
from jobs.process import Command, Placement
from jobs.verl.saved_model import is_whole
from platform_site.counts import size_text

FOLDER = "model"  # below the run directory
SHA_256 = re.compile(r"[0-9a-f]{64}")
ENV = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


class ModelMaker(JobKind):
    """``done`` is the event that the process tells when the folder is there and whole."""

    unit: ClassVar[str] = "MiB"
    units: ClassVar[str] = "MiB"
    panels: ClassVar[Sequence[str]] = ("result", "charts", "log", "system", "events", "config")
    done: ClassVar[str]
    # Whether its program looks at its inputs alone when it is started with --check.
    can_look: ClassVar[bool] = False

    def program(self, placement: Placement, module: str, *argv: str) -> Command:
        """A program of the node, without a GPU and without the network."""
        whole = (placement.python, "-m", f"trainyard_node.{module}", *argv)
        return Command(whole, dict(ENV), placement.run_dir)

    def worth(self, end: End, what: str) -> Verdict:
        """The verdict on an end. ``what`` begins the sentence that says what is made."""
        said = end.said.get(self.done)
        if end.exit_code == 0 and said is not None:
            tensors, size = said.get("tensors", "?"), said.get("bytes")
            told = f", {size_text(size)}" if isinstance(size, int | float) else ""
            return Verdict("completed", f"{what}: {tensors} tensors{told}.")
        return self.not_made(end)

    def not_made(self, end: End) -> Verdict:
        """The verdict where nothing was made. What the process refused is the reason."""
        why = str(end.said.get("refused", {}).get("message", "")).strip()
        if end.exit_code != 1 or end.stop_asked or not why:
            return ended_early(end, self.unit)
        return Verdict("failed", why if why.endswith((".", "!", "?")) else f"{why}.")

    def makes(self, spec: Any) -> Sequence[Product]:
        return (Product(MODEL, FOLDER),)

    def measured(self, product: Product, said: Mapping[str, Mapping[str, Any]]) -> Measured:
        told = said.get(self.done, {})
        size, digest = told.get("bytes"), str(told.get("digest", ""))
        is_size = type(size) is int and 0 <= size < 2**63
        return Measured(size if is_size else None, digest if SHA_256.fullmatch(digest) else "")

    def read_digests(self, said: Mapping[str, Mapping[str, Any]]) -> Mapping[str, str]:
        told = said.get(self.done, {}).get("inputs")
        read = told.items() if isinstance(told, dict) else ()
        return {path: digest for path, digest in read if SHA_256.fullmatch(str(digest))}

    def newest_model(self, files: Iterable[FileFact], read: Read) -> str | None:
        names = {file.path for file in files if file.size and "/" not in file.path}
        return "" if is_whole(names, read) else None

    def values(self, spec: Any) -> Mapping[str, Any]:
        return dict(spec.to_json())
