"""`python -m trainyard_node.schema`: the configuration keys of the installed verl.

Without options it prints every trainer's schema; `--out DIR` writes DIR/<config>.json;
`--check CONFIG override...` composes with Hydra and exits 1 with Hydra's message for a bad one.
Only verl's configuration files are read: verl itself is not imported.
"""

import argparse
import ast
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

CONFIGS = ("sft_trainer_engine", "ppo_trainer", "dpo_trainer")
OURS = {"dpo_trainer": "dpo/config"}  # this package's own, on top of verl 0.9's
OURS_SINCE = (0, 9)
TYPE_NAMES = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 on success, 1 if Hydra refuses or there is no verl, 2 for wrong use."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.schema", description=__doc__)
    parser.add_argument("--out", type=Path, help="write <config>.json files here")
    parser.add_argument("--check", nargs=argparse.REMAINDER, metavar="CONFIG override")
    arguments = parser.parse_args(argv)
    if arguments.check is not None:
        return _check(parser, arguments.check)
    try:
        schemas = {config: dump(config) for config in configs()}
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.out is None:
        print(json.dumps(schemas, sort_keys=True))
    else:
        _write(schemas, arguments.out)
    return 0


def _write(schemas: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for config, schema in schemas.items():
        text = json.dumps(schema, indent=1, sort_keys=True)
        (folder / f"{config}.json").write_text(text + "\n")


def configs() -> tuple[str, ...]:
    """The configurations of trainers that the installed verl can run."""
    major, minor, *_ = version("verl").split(".")
    has_ours = (int(major), int(minor)) >= OURS_SINCE
    return tuple(config for config in CONFIGS if has_ours or config not in OURS)


def compose(config: str, overrides: Sequence[str] = ()) -> Any:
    """The configuration `config` as Hydra composes it. Raises Hydra's exceptions."""
    return compose_all(config, [overrides])[0]


def compose_all(config: str, commands: Iterable[Sequence[str]]) -> list[Any]:
    """Compose `config` with each command's overrides, in one start of Hydra."""
    import hydra

    # This folder replaces verl's own name (pkg://verl.trainer.config), which would import verl.
    search = [f"hydra.searchpath=[file://{_config_directory()}]"] if config in OURS else []
    with hydra.initialize_config_dir(str(_home_of(config)), version_base=None):
        return [hydra.compose(config, overrides=[*search, *command]) for command in commands]


def dump(config: str) -> dict[str, Any]:
    """{"verl", "config", "keys": {dotted key: {"default", "type"}}, "fields": {dotted key: type}}.

    The default of an interpolation is its text, its type that of its target ("null" where that is
    unknown). `fields` are keys that may be added with a plus: fields of a node's data class which
    the configuration files omit.
    """
    composed = compose(config)
    keys = {key: _describe(composed, key, value) for key, value in _leaves(composed)}
    fields = dict(sorted(_unlisted_fields(keys)))
    return {"verl": version("verl"), "config": config, "keys": keys, "fields": fields}


def refusal(config: str, overrides: Sequence[str]) -> str | None:
    """Hydra's message when it refuses the overrides, else None."""
    try:
        compose(config, overrides)
    except Exception as error:  # Hydra, OmegaConf and the grammar raise different exceptions
        return str(error).strip() or type(error).__name__
    return None


def _check(parser: argparse.ArgumentParser, asked: list[str]) -> int:
    if not asked or asked[0] not in CONFIGS:
        parser.error(f"--check needs one of {', '.join(CONFIGS)} first")
    message = refusal(asked[0], asked[1:])
    if message is None:
        return 0
    print(message, file=sys.stderr)
    return 1


def _home_of(config: str) -> Path:
    return Path(__file__).parent / OURS[config] if config in OURS else _config_directory()


def _config_directory() -> Path:
    return _verl() / "trainer" / "config"


def _verl() -> Path:
    found = importlib.util.find_spec("verl")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("verl is not installed here")
    return Path(found.origin).parent


def _leaves(composed: Any) -> Iterator[tuple[str, Any]]:
    from omegaconf import OmegaConf

    yield from _walk("", OmegaConf.to_container(composed, resolve=False))


def _walk(prefix: str, node: Any) -> Iterator[tuple[str, Any]]:
    # An empty dict is a leaf: users may add keys of their own to it ("+node.key=...").
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
    except Exception:  # it refers to a value that only a run supplies
        return None
    if isinstance(value, ListConfig):
        return []
    return {} if isinstance(value, DictConfig) else value


def _unlisted_fields(keys: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    classes = _data_classes()
    for key, known in keys.items():
        node, _, leaf = key.rpartition(".")
        if leaf != "_target_" or not node:
            continue
        for name, type_name in _fields(str(known["default"]).rpartition(".")[2], classes):
            path = f"{node}.{name}"
            if path not in keys and not any(other.startswith(f"{path}.") for other in keys):
                yield path, type_name


def _data_classes() -> dict[str, ast.ClassDef]:
    """The classes of verl's configuration by name, parsed as text: importing them needs torch."""
    root = _verl()
    files = [root / "base_config.py", *root.glob("utils/**/config.py")]
    files += [*root.glob("workers/config/*.py"), *root.glob("trainer/config/*.py")]
    lines = (line for file in files for line in ast.parse(file.read_text()).body)
    return {line.name: line for line in lines if isinstance(line, ast.ClassDef)}


def _fields(name: str, classes: dict[str, ast.ClassDef]) -> Iterator[tuple[str, str]]:
    if name not in classes:
        return
    for base in classes[name].bases:
        yield from _fields(ast.unparse(base).rpartition(".")[2], classes)
    for line in classes[name].body:
        if isinstance(line, ast.AnnAssign):
            field = ast.unparse(line.target)
            if not field.startswith("_"):
                yield field, _annotated(ast.unparse(line.annotation))


def _annotated(annotation: str) -> str:
    plain = annotation.removeprefix("Optional[").rstrip("]").partition("[")[0].lower()
    return plain if plain in TYPE_NAMES.values() else "null"


if __name__ == "__main__":
    sys.exit(main())
