"""The catalogue of common models, for estimates without their files. The data: ``models.json``.

Its values are those of each model's ``config.json`` on the hub, as far as the estimate reads them.
They were written down without a network: only models are listed whose parameters, counted from
these values, come out at exactly the number that their page tells. Of models that see images it is
the language model alone, and no layers that predict further tokens are counted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from compute.sizing.facts import ModelFacts, read_facts

DATA = Path(__file__).with_name("models.json")


@dataclass(frozen=True)
class KnownModel:
    """``slug`` names it on the command line, such as ``qwen3-8b``; ``hubs`` are the hub's names of
    all models of this shape, the usual one first; ``parameters`` is what its page tells."""

    slug: str
    name: str
    hubs: tuple[str, ...]
    parameters: int
    config: Mapping[str, Any]

    @property
    def facts(self) -> ModelFacts:
        return _facts(self.slug)


@cache
def known_models() -> Mapping[str, KnownModel]:
    """All models of the catalogue by their slug, in the order of the data."""
    listed = json.loads(DATA.read_text(encoding="utf-8"))
    return {one["slug"]: KnownModel(**{**one, "hubs": tuple(one["hubs"])}) for one in listed}


def find_model(name: str) -> KnownModel | None:
    """By slug or by a name of the hub, whatever the case; None for a model that is not listed."""
    return _by_name().get(name.strip().lower())


@cache
def _by_name() -> Mapping[str, KnownModel]:
    found = {}
    for model in known_models().values():
        for name in (model.slug, *model.hubs):
            found[name.lower()] = model
    return found


@cache
def _facts(slug: str) -> ModelFacts:
    return read_facts(known_models()[slug].config)
