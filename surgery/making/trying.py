"""The node's own look at a job before it is made, where its machine is this one.

It opens the files of all models and looks at shapes, types and the room on the disk. Elsewhere the
job does the same as its first phase, before it writes anything.
"""

import json
import uuid as uuids
from collections.abc import Mapping
from typing import Any

from compute.machines.local import local_machine
from compute.models import Machine
from compute.runners.base import RunnerError
from compute.runners.local.commands import run_here
from jobs.kinds.base import Spec
from jobs.kinds.maker import ModelMaker
from jobs.kinds.registry import kind_of
from jobs.process import Placement
from platform_site.counts import counted, size_text
from surgery.making.checks import SurgeryError

WITHIN = 60.0  # seconds


def look(spec: Spec, machine: Machine) -> Mapping[str, int]:
    """What the job would do, in ``tensors``, ``bytes_in`` and ``bytes_out`` as far as it is told;
    empty where only the job itself can look. Raises ``SurgeryError`` with what speaks against it.
    """
    kind = kind_of(spec)
    if machine.pk != local_machine().pk or not isinstance(kind, ModelMaker) or not kind.can_look:
        return {}
    folder = f"{machine.workdir}/runs/{uuids.uuid4()}"  # it is not made
    command = kind.command(spec, Placement(folder, machine.python, "look"), {})
    try:
        said = run_here([*command.argv, "--check"], b"", WITHIN)
    except RunnerError as error:
        raise SurgeryError(str(error)) from error
    return {name: value for name, value in _facts(said).items() if type(value) is int}


def in_words(seen: Mapping[str, int]) -> str:
    """What was seen, as a sentence."""
    if not seen:
        return "The job itself looks into the models first, before it writes anything."
    words = [counted(seen["tensors"], "tensor")] if "tensors" in seen else []
    names = {"bytes_in": "to read", "bytes_out": "to write"}
    words += [f"{size_text(seen[name])} {what}" for name, what in names.items() if name in seen]
    told = f"The models were looked into: {', '.join(words) or 'nothing is wrong'}."
    rows = seen.get("first_rows")
    return f"{told} Only the first {rows} rows were looked at." if rows else told


def _facts(said: bytes) -> Mapping[str, Any]:
    """The last line of what the program printed."""
    try:
        facts = json.loads(said.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {}
    return facts if isinstance(facts, dict) else {}
