"""Loaded by verl into each process of a test's run (VERL_USE_EXTERNAL_MODULES): writes down which
keys of the configuration are read, each once, into READS-<pid>.

A key is read where verl's code, or ours, asks a configuration for it. What OmegaConf and Hydra ask
each other does not count: they copy, convert and print whole trees. A data class that was made of a
part of the configuration remembers which part.
"""

import os
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from verl.base_config import BaseConfig
from verl.utils import config as verl_config

PLACE, EARLY = "_reads_place", "_reads_early"
# Their reads are no use of a value.
COPIERS = (
    "/omegaconf/",
    "/hydra/",
    "/dataclasses.py",
    "/copy.py",
    "/copyreg.py",
    "/pickle",
    "/reads.py",
)
FILE = Path(f"{os.environ['READS']}-{os.getpid()}")
_seen: set[str] = set()


def note(key: str) -> None:
    if key not in _seen:
        _seen.add(key)
        with FILE.open("a") as file:
            file.write(f"{key}\n")


def is_use(depth: int) -> bool:
    path = sys._getframe(depth).f_code.co_filename
    return not any(copier in path for copier in COPIERS)


def joined(place: str, word: str) -> str:
    return f"{place}.{word}" if place else word


def watch_nodes(name: str) -> None:
    original = getattr(DictConfig, name)

    def read(self: DictConfig, key: Any, *more: Any, **options: Any) -> Any:
        value = original(self, key, *more, **options)
        if isinstance(key, str) and not key.startswith("__") and is_use(2):
            part = "." if isinstance(value, DictConfig) else ""
            note(f"{self._get_full_key(key)}{part}")
        return value

    setattr(DictConfig, name, read)


def watch_classes() -> None:
    plain = object.__getattribute__

    def read(self: BaseConfig, name: str) -> Any:
        value = plain(self, name)
        if name[0] != "_" and name in type(self).__dataclass_fields__ and is_use(2):
            own = plain(self, "__dict__")
            word = f"{name}." if isinstance(value, BaseConfig) else name
            if PLACE in own:
                note(joined(own[PLACE], word))
            else:  # while it is made
                own.setdefault(EARLY, set()).add(word)
        return value

    BaseConfig.__getattribute__ = read


def remember(made: Any, node: Any, place: str) -> None:
    """Which part of the configuration a data class, and those within it, were made of."""
    if not isinstance(made, BaseConfig):
        return
    made.__dict__[PLACE] = place
    for word in made.__dict__.pop(EARLY, ()):
        note(joined(place, word))
    for key in node.keys() if isinstance(node, DictConfig) else ():
        inner = made.__dict__.get(key)
        if isinstance(inner, BaseConfig) and PLACE not in inner.__dict__:
            remember(inner, node._get_node(key), joined(place, str(key)))


def watch_conversions() -> None:
    original = verl_config.omega_conf_to_dataclass

    def omega_conf_to_dataclass(config: Any, dataclass_type: Any = None) -> Any:
        made = original(config, dataclass_type)
        if isinstance(config, DictConfig) and made is not config:
            remember(made, config, str(config._get_full_key("")))
        return made

    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})  # not getattr: some modules import what is asked
        if names.get("omega_conf_to_dataclass") is original:
            names["omega_conf_to_dataclass"] = omega_conf_to_dataclass


for method in ("__getattr__", "__getitem__", "get", "pop"):
    watch_nodes(method)
watch_classes()
watch_conversions()
