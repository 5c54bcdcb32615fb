"""Act on a module of verl when it is imported, without importing it."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

Act = Callable[[ModuleType], object]


def when_imported(name: str, act: Act) -> None:
    """Call `act` with the module `name` once it is loaded: now or later."""
    if name in sys.modules:
        act(sys.modules[name])
    else:
        _finder().expect(name, act)


def _finder() -> "_Finder":
    for finder in sys.meta_path:
        if isinstance(finder, _Finder):
            return finder
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    return finder


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the expected modules and wraps their loaders; removes itself after the last one."""

    def __init__(self) -> None:
        self._expected: dict[str, list[Act]] = {}

    def expect(self, name: str, act: Act) -> None:
        acts = self._expected.setdefault(name, [])
        if act not in acts:
            acts.append(act)

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        acts = self._expected.pop(name, None)
        if acts is None:
            return None
        if not self._expected:
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, acts)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, real: Any, acts: list[Act]) -> None:
        self._real, self._acts = real, acts

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._real.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        for act in self._acts:
            act(module)

    def __getattr__(self, name: str) -> Any:  # such as get_source, for tracebacks
        return getattr(self._real, name)
