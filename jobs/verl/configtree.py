"""A resolved configuration as a tree: what each value is, and whether it is verl's default."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from jobs.verl.defaults import UNKNOWN, found_at, stands_for
from jobs.verl.overrides import write_value

# Names of keys whose values nobody may see; eos_token and its like are words of a vocabulary.
SECRET = re.compile(
    r"^(?!(.*_)?(pad|eos|bos|unk|mask|sep|cls|stop|image|video|audio)_token$)(.*[_.-])?"
    r"(password|passwd|secrets?|credentials?|api_?key|access_?key|private_?key|secret_?key|token|"
    r"authorization)$",
    re.IGNORECASE,
)
ENVIRONMENT = ("env_vars", "env", "environment")  # whose values may be secrets under any name
HIDDEN = "***"
LONGEST = 400  # characters of a value that are shown
DEFAULT, DIFFERS, ADDED, UNSAID = "default", "differs", "added", "unsaid"
ORIGINS = {
    "you": "set by you",
    "recipe": "by the recipe",
    "method": "by the method",
    "platform": "by Trainyard",
}
ABSENT = object()
Keys = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Leaf:
    """A value. ``state`` says how it stands to verl's default: it is the ``default``, ``differs``,
    was ``added`` to verl's keys, or nobody can say (``unsaid``). ``origin`` is who set it: the
    empty text where no override did."""

    key: str
    value: Any
    state: str
    default: str = ""
    origin: str = ""

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2]

    @property
    def text(self) -> str:
        return text_of(self.value)

    @property
    def short(self) -> str:
        return shortened(self.text)

    @property
    def is_short(self) -> bool:
        return len(self.text) <= LONGEST

    @property
    def origin_words(self) -> str:
        return ORIGINS.get(self.origin, self.origin)

    @property
    def setting(self) -> str:
        """As an override of Hydra's says it; a key that verl does not have needs a plus."""
        plus = "+" if self.state == ADDED else ""
        return f"{plus}{self.key}={written(self.value)}"

    @property
    def differs(self) -> bool:
        return self.state in (DIFFERS, ADDED)


@dataclass
class Branch:
    """A node of the tree with what lies below it."""

    key: str = ""
    branches: dict[str, "Branch"] = field(default_factory=dict)
    leaves: list[Leaf] = field(default_factory=list)
    count: int = 0  # leaves below it
    differing: int = 0

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2]


def leaves_of(
    config: Mapping[str, Any], keys: Keys | None, origins: Mapping[str, str]
) -> list[Leaf]:
    """All values in the order of the configuration. ``keys`` are verl's with their defaults; None
    where they are unknown. ``origins`` says who set a key."""
    return [_leaf(key, value, config, keys, origins) for key, value in flat(config)]


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values. A list and an empty dictionary are values."""
    for name, value in config.items():
        key = f"{prefix}.{name}" if prefix else name
        if isinstance(value, Mapping) and value:
            yield from flat(value, key)
        else:
            yield key, value


def _leaf(
    key: str,
    value: Any,
    config: Mapping[str, Any],
    keys: Keys | None,
    origins: Mapping[str, str],
) -> Leaf:
    origin = origins.get(key, "")
    if keys is None:
        return Leaf(key, value, UNSAID, origin=origin)
    default = _default_of(key, config, keys)
    if default is ABSENT:
        return Leaf(key, value, ADDED, origin=origin)
    if default is UNKNOWN:
        return Leaf(key, value, UNSAID, str(keys[key]["default"]), origin)
    state = DEFAULT if _same(value, default) else DIFFERS
    return Leaf(key, value, state, shortened(text_of(default)), origin)


def _default_of(key: str, config: Mapping[str, Any], keys: Keys) -> Any:
    """Verl's default of a key, which may follow a whole node; ``ABSENT`` where it has no such key,
    ``UNKNOWN`` where nobody can say what its default stands for."""
    if key in keys:
        return stands_for(keys[key]["default"], key, config)
    names = key.split(".")
    for depth in range(len(names) - 1, 0, -1):
        above = ".".join(names[:depth])
        if above in keys:
            node = stands_for(keys[above]["default"], above, config)
            inner = found_at(node, ".".join(names[depth:])) if node is not UNKNOWN else UNKNOWN
            return ABSENT if inner is UNKNOWN else inner
    return ABSENT


def _same(one: Any, other: Any) -> bool:
    """Whether verl would take them for the same: true is not 1, though 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def found(leaves: Sequence[Leaf], words: str, *, only_differing: bool = False) -> list[Leaf]:
    """Those that have all the words in their key or value, whatever their case."""
    wanted = words.lower().split()
    return [
        leaf
        for leaf in leaves
        if (leaf.differs or not only_differing)
        and all(word in f"{leaf.key}={leaf.text}".lower() for word in wanted)
    ]


def tree_of(leaves: Sequence[Leaf]) -> Branch:
    root = Branch()
    for leaf in leaves:
        branch, names = root, leaf.key.split(".")[:-1]
        _count(branch, leaf)
        for depth, name in enumerate(names, 1):
            key = ".".join(names[:depth])
            branch = branch.branches.setdefault(name, Branch(key))
            _count(branch, leaf)
        branch.leaves.append(leaf)
    return root


def _count(branch: Branch, leaf: Leaf) -> None:
    branch.count += 1
    branch.differing += leaf.differs


def masked(config: Any, secrets: Sequence[str], *, is_secret: bool = False) -> Any:
    """The configuration with stars for what names say is secret, and for these secrets."""
    if isinstance(config, Mapping):
        return {
            _starred(str(name), secrets): masked(
                value, secrets, is_secret=is_secret or hides(str(name))
            )
            for name, value in config.items()
        }
    if isinstance(config, list):
        return [masked(value, secrets, is_secret=is_secret) for value in config]
    if is_secret and config not in (None, "", True, False):
        return HIDDEN
    return _starred(config, secrets) if isinstance(config, str) else config


def hides(name: str) -> bool:
    """Whether the values below a key of this name may be secrets."""
    return name.lower() in ENVIRONMENT or SECRET.search(name) is not None


def _starred(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def text_of(value: Any) -> str:
    """A value as YAML has it in one line."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"


def written(value: Any) -> str:
    """A value as Hydra reads it on a command line."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{name}:{written(inner)}' for name, inner in value.items())}}}"
    with suppress(ValueError):
        return write_value(value)
    return text_of(value)


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], text: Callable[[Any], str] = text_of
) -> list[tuple[str, str | None, str | None]]:
    """What is not the same in two flat mappings: the name, and each one's text; None: not in it."""
    names = [*before, *(name for name in after if name not in before)]
    rows = [
        (name, text(before[name]) if name in before else None,
         text(after[name]) if name in after else None)
        for name in names
    ]  # fmt: skip
    return [row for row in rows if row[1] != row[2]]
