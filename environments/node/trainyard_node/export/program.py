"""What the programs that work on models share: how a spec is read, and how a refusal ends."""

import json
import signal
import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainyard_node.export.place import is_no_space
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told

TEXT = "--text"  # the option that gives a spec or a recipe itself


def parsed(parser: ArgumentParser, argv: Sequence[str] | None) -> Namespace:
    """The command line; None is that of the process. argparse takes a value that begins with a
    hyphen, such as a YAML document, for an option, so `--text VALUE` becomes `--text=VALUE`."""
    joined: list[str] = []
    for each in sys.argv[1:] if argv is None else argv:
        if joined and joined[-1] == TEXT:
            joined[-1] = f"{TEXT}={each}"
        else:
            joined.append(each)
    return parser.parse_args(joined)


def is_number(value: Any) -> bool:
    """Whether it is a finite number; a whole number may be too large for a float."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def add_spec(parser: ArgumentParser) -> None:
    """The arguments that name the spec and the place of the result."""
    parser.add_argument("spec", nargs="?", help="a JSON file, or - for standard input")
    parser.add_argument(TEXT, metavar="JSON", help="the spec itself")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to make")


def spec_of(arguments: Namespace) -> dict[str, Any]:
    """The spec that the command line names. Raises Refused where it is no JSON object."""
    if (arguments.spec is None) == (arguments.text is None):
        raise Refused("Give a spec: a JSON file, - for standard input, or --text JSON.")
    try:
        found = json.loads(arguments.text if arguments.text is not None else _read(arguments.spec))
    except (OSError, ValueError, RecursionError) as error:
        raise Refused(f"The spec cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise Refused("The spec is no JSON object.")
    return found


def check_keys(spec: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Raises Refused for a key that the spec may not have."""
    for key in spec:
        if key not in keys:
            raise Refused(f"The spec has no {key}. It has: {', '.join(keys)}.")


def path_of(value: Any, what: str) -> Path:
    """A folder that a spec names. Raises Refused where that is no path."""
    if not isinstance(value, str) or not value:
        raise Refused(f"{what} is the path of a folder, not {value!r}.")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:
        raise Refused(f"{what} is {value!r}: {error}") from error


def check_apart(target: Path, inputs: Sequence[Path]) -> None:
    """Raises Refused where the result would lie in an input, or an input in the result."""
    real = target.resolve()
    for folder in inputs:
        given = folder.resolve()
        if real == given or given in real.parents or real in given.parents:
            raise Refused(f"{target} and the input {folder} lie within each other.")


def ended(program: str, target: Path, work: Callable[[Told], None]) -> int:
    """Do the work and give the exit code; a refusal is told, and is the last line on stderr."""
    # A stop ends the process by an exception, so that what was half made is removed.
    signal.signal(signal.SIGTERM, _stop)
    told = Told.of_this_run(program)
    try:
        work(told)
    except Refused as error:
        return _refused(told, str(error))
    except Exception as error:
        traceback.print_exc()
        full = f"The disk of {target.parent} is full."
        return _refused(told, full if is_no_space(error) else f"{type(error).__name__}: {error}")
    return 0


def _refused(told: Told, reason: str) -> int:
    told.event("refused", reason)
    print(reason, file=sys.stderr, flush=True)
    return 1


def _read(path: str) -> str:
    return sys.stdin.read() if path == "-" else Path(path).read_text()


def _stop(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)
