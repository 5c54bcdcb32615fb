"""`python -m trainyard_node.export CHECKPOINT TARGET`: a checkpoint as a Hugging Face folder.

CHECKPOINT is a `global_step_N` folder that verl saved on FSDP; in RL its actor is taken. TARGET is
made, with weights, configuration and tokenizer, and must not be there before. A LoRA adapter is
folded into the weights, or with --keep-adapter lies beside them in `lora_adapter`.

Exit codes: 0 when TARGET is there and whole; 1 when the checkpoint is refused, with the reason as
the last line; 2 for wrong use.
"""

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainyard_node.export.digest import digest_of
from trainyard_node.export.place import is_no_space, making
from trainyard_node.export.refused import Refused
from trainyard_node.export.source import Source, find_source
from trainyard_node.export.told import Told, size_of

if TYPE_CHECKING:
    from trainyard_node.export.merging import Choice, Merged


def main(argv: Sequence[str] | None = None) -> int:
    """Export what the command line names; see the module's exit codes."""
    arguments = _parser().parse_args(argv)
    checkpoint = Path(arguments.checkpoint).expanduser().absolute()
    target = Path(arguments.target).expanduser().absolute()
    # A stop ends the process by an exception, so that what was half made is removed.
    signal.signal(signal.SIGTERM, _stop)
    told = Told.of_this_run()
    try:
        export(checkpoint, target, told, keep_adapter=arguments.keep_adapter, trust=arguments.trust)
    except Refused as error:
        return _refused(told, str(error))
    except Exception as error:
        traceback.print_exc()
        return _refused(told, _unexpected(error, target))
    return 0


def export(checkpoint: Path, target: Path, told: Told, **choice: bool) -> None:
    """Make `target` out of `checkpoint`. Raises Refused, and then leaves nothing behind."""
    source = find_source(checkpoint)
    with making(target) as folder:
        from trainyard_node.export.merging import Choice, Merger

        chosen = Choice(**choice)
        merged = Merger(source, folder, chosen, told).merge()
        facts = {"bytes": size_of(folder), "digest": digest_of(folder), "tensors": merged.tensors}
    told.finished()
    said = _said(source, target, merged, chosen)
    told.event("exported", said, path=str(target), **facts)


def _said(source: Source, target: Path, merged: "Merged", choice: "Choice") -> str:
    words = [f"step {source.step} is in {target}: {merged.tensors} tensors"]
    if merged.adapter and choice.keep_adapter:
        words.append(
            f"its weights are those of the base model, and the {merged.adapter} tensors of the "
            "adapter lie beside them in lora_adapter"
        )
    elif merged.adapter:
        words.append(f"the adapter is folded into {merged.adapter} weights")
    if merged.rounded:
        words.append(f"{merged.rounded} tensors of the checkpoint were rounded to bfloat16")
    return "; ".join(words)


def _refused(told: Told, reason: str) -> int:
    told.event("refused", reason)
    print(f"ExportError: {reason}", file=sys.stderr, flush=True)
    return 1


def _unexpected(error: Exception, target: Path) -> str:
    if is_no_space(error):
        return f"The disk of {target.parent} is full."
    return f"verl's merger ended with {type(error).__name__}: {error}"


def _stop(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.export", description=__doc__)
    parser.add_argument("checkpoint", help="a global_step_N folder")
    parser.add_argument("target", help="the Hugging Face folder to make")
    parser.add_argument("--keep-adapter", action="store_true", help="do not fold a LoRA adapter")
    parser.add_argument(
        "--trust-remote-code", dest="trust", action="store_true", help="let the model's code run"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
