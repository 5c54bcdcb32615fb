"""Where an evaluation lies, and how it goes on after an interruption."""

import os
import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainyard_node.evaluating.journal import Journal, Line, earlier, take_over
from trainyard_node.evaluating.result import REPORT, write_state
from trainyard_node.export.refused import Refused
from trainyard_node.record import RUN_DIR

VALIDATION = "validation"


@dataclass(frozen=True)
class Place:
    """`root` is the run directory, or the folder of the result outside of one."""

    root: Path
    folder: Path

    @classmethod
    def of(cls, target: Path) -> "Place":
        """Raises Refused where an evaluation is there already, or the folder cannot be made."""
        given = os.environ.get(RUN_DIR)
        root = Path(given).absolute() if given else target
        if not target.is_relative_to(root):
            root = target
        if (target / REPORT).exists():
            raise Refused(f"{target} has an evaluation already.")
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(f"{target} cannot be made: {error.strerror}.") from error
        return cls(root, target)

    def rows(self, step: int | None) -> Path:
        """The file of answers of a step."""
        return self.root / VALIDATION / f"{step or 0}.jsonl"

    def go_on(
        self,
        state: Mapping[str, Any],
        path: Path,
        key: Callable[[Line], Hashable],
        take: Callable[[Line], None],
    ) -> tuple[Journal, int]:
        """The journal at `path`, which begins with the lines of an interrupted evaluation of the
        same digest; how many these are. Each is given to `take`."""
        before = earlier(self.root, self.folder.relative_to(self.root), state["digest"])
        kept = 0
        if before is None:
            path.unlink(missing_ok=True)
        else:
            old = before / path.relative_to(self.root)
            kept = take_over(old, path, key, take)
        write_state(self.folder, state)
        return Journal(path), kept


@contextmanager
def apart() -> Iterator[Path]:
    """A folder for what is only looked at."""
    with tempfile.TemporaryDirectory(prefix="evaluating-") as folder:
        yield Path(folder)
