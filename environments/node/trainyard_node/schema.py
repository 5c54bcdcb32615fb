"""`python -m trainyard_node.schema`: the configuration keys of the installed verl.

Without options it prints every trainer's schema; `--out DIR` writes DIR/<config>.json;
`--check CONFIG override...` composes with Hydra and exits 1 with Hydra's message for a bad one.
Only verl's configuration files are read: verl itself is not imported.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

CONFIGS = ("sft_trainer_engine", "ppo_trainer")
TYPE_NAMES = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}


def main(argv: Sequence[str] | None = None) -> int:
    """See the module. 0: done; 1: refused by Hydra; 2: wrong use."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.schema", description=__doc__)
    parser.add_argument("--out", type=Path, help="write <config>.json files here")
    parser.add_argument("--check", nargs=argparse.REMAINDER, metavar="CONFIG override")
    arguments = parser.parse_args(argv)
    if arguments.check is not None:
        return _check(parser, arguments.check)
    schemas = {config: dump(config) for config in CONFIGS}
    if arguments.out is None:
        print(json.dumps(schemas, sort_keys=True))
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    for config, schema in schemas.items():
        text = json.dumps(schema, indent=1, sort_keys=True)
        (arguments.out / f"{config}.json").write_text(text + "\n")
    return 0


def compose(config: str, overrides: Sequence[str] = ()) -> Any:
    """verl's configuration `config` as Hydra composes it. Raises Hydra's exceptions."""
    import hydra

    with hydra.initialize_config_dir(str(_config_directory()), version_base=None):
        return hydra.compose(config, overrides=list(overrides))


def dump(config: str) -> dict[str, Any]:
    """{"verl", "config", "keys": {dotted key: {"default", "type"}}}; an interpolation's default
    is its text, its type that of what it stands for ("null" where that is not known)."""
    composed = compose(config)
    keys = {key: _describe(composed, key, value) for key, value in _leaves(composed)}
    return {"verl": version("verl"), "config": config, "keys": keys}


def refusal(config: str, overrides: Sequence[str]) -> str | None:
    """Hydra's message when it refuses the overrides, else None."""
    try:
        compose(config, overrides)
    except Exception as error:  # Hydra, OmegaConf and the grammar each raise their own
        return str(error).strip() or type(error).__name__
    return None


def _check(parser: argparse.ArgumentParser, words: list[str]) -> int:
    if not words or words[0] not in CONFIGS:
        parser.error(f"--check needs one of {', '.join(CONFIGS)} first")
    message = refusal(words[0], words[1:])
    if message is None:
        return 0
    print(message, file=sys.stderr)
    return 1


def _config_directory() -> Path:
    found = importlib.util.find_spec("verl")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("verl is not installed here")
    return Path(found.origin).parent / "trainer" / "config"


def _leaves(composed: Any) -> Iterator[tuple[str, Any]]:
    from omegaconf import OmegaConf

    yield from _walk("", OmegaConf.to_container(composed, resolve=False))


def _walk(prefix: str, node: Any) -> Iterator[tuple[str, Any]]:
    # An empty dict is a leaf: such a node takes keys of the user's own ("+node.key=...").
    if not isinstance(node, dict) or (prefix and not node):
        yield prefix, node
        return
    for name, value in node.items():
        yield from _walk(f"{prefix}.{name}" if prefix else str(name), value)


def _describe(composed: Any, key: str, value: Any) -> dict[str, Any]:
    stands_for = _resolved(composed, key) if isinstance(value, str) and "${" in value else value
    return {"default": value, "type": TYPE_NAMES.get(type(stands_for), "null")}


def _resolved(composed: Any, key: str) -> Any:
    from omegaconf import DictConfig, ListConfig, OmegaConf

    try:
        value = OmegaConf.select(composed, key)
    except Exception:  # it points at a value which only a run supplies
        return None
    if isinstance(value, ListConfig):
        return []
    return {} if isinstance(value, DictConfig) else value


if __name__ == "__main__":
    sys.exit(main())
