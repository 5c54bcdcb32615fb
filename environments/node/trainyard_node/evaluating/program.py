"""The three ways of an evaluation, each from the spec to its result."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from trainyard_node.evaluating.journal import Line, differs_in
from trainyard_node.evaluating.model import Described, device
from trainyard_node.evaluating.place import Place, apart
from trainyard_node.evaluating.result import digest_of, evaluator, versions, write_result
from trainyard_node.evaluating.spec import LOSS, TASKS, Asked
from trainyard_node.evaluating.telling import Progress, tell_result
from trainyard_node.export.told import Told

LOOKED_AT = 1000  # rows, by a check


def check(asked: Asked, target: Path) -> None:
    """Say whether it can be done, without loading weights. Raises Refused where it cannot. Of many
    rows the first ones alone are looked at, and it is said how many."""
    is_cut = asked.way != TASKS and (asked.limit is None or asked.limit > LOOKED_AT)
    looked = replace(asked, limit=LOOKED_AT) if is_cut else asked
    with apart() as folder:
        seen = _way(asked).look(looked, folder)
    more = {"first_rows": LOOKED_AT} if is_cut and seen["prompts"] == LOOKED_AT else {}
    print(json.dumps(seen | more), flush=True)


def evaluate(asked: Asked, target: Path, told: Told) -> None:
    """Evaluate, and leave the result in `target`. Raises Refused."""
    _way(asked).run(asked, Place.of(target), told)


def _way(asked: Asked) -> Any:
    from trainyard_node.evaluating.ways import of_answers, of_loss, of_tasks

    return {LOSS: of_loss, TASKS: of_tasks}.get(asked.way, of_answers)


@dataclass
class Work:
    """One evaluation as it goes: its parts of time, and what its result says."""

    asked: Asked
    place: Place
    told: Told
    backend: str = "transformers"
    dtype: str = ""
    lm_eval: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    _since: float = field(default_factory=time.monotonic)

    def part(self, name: str) -> None:
        """The part of time that began with the one before ends here."""
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    def state(self, same: Mapping[str, Any], described: Described) -> dict[str, Any]:
        """What must be the same for another attempt to go on, as its digest: the work, and the
        engine, since answers of two engines are no result of either."""
        own = asdict(self.asked)
        work = digest_of({"spec": own, "same": same, "model": described.identity()})
        engine = {"backend": self.backend, "device": device().type, **versions(self.backend),
                  "lm_eval": self.lm_eval}  # fmt: skip
        state = {"digest": digest_of([work, engine]), "work": work, "engine": engine}
        place = self.place
        self.differs = differs_in(place.root, place.folder.relative_to(place.root), state)
        return state

    def progress(self, total: int, kept: str) -> Progress:
        progress = Progress(self.told, self.place.root, total)
        others = f", all of them anew: other {', '.join(self.differs)}" if self.differs else ""
        progress.plan(f"{total} prompts{kept or others}")
        return progress

    def end(
        self,
        progress: Progress,
        same: Mapping[str, Any],
        of: Mapping[str, Any],
        metrics: Mapping[str, float],
        counts: Mapping[str, int],
        scores: Iterable[Line],
        sides: Mapping[str, bool] | None = None,
    ) -> None:
        """Write the result, then tell it. `sides` say of a figure whether more of it is better,
        where its name may mislead."""
        self.seconds["whole"] = time.monotonic() - self.began
        said = evaluator(self.asked, same, self.backend, self.dtype, self.lm_eval)
        result = {
            "evaluator": said,
            "set": dict(of),
            "metrics": dict(metrics),
            "higher_is_better": dict(sides or {}),
            "counts": dict(counts),
            "left_out": self.left_out,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }
        write_result(self.place.folder, result, scores)
        progress.end(dict(metrics))
        first = next(((name, value) for name, value in metrics.items()), None)
        shown = f", {first[0]} {first[1]:.6g}" if first else ""
        tell_result(self.told, result, f"{counts['prompts']} prompts are evaluated{shown}")


def name_of(asked: Asked) -> str:
    """What the rows are called, by their files."""
    return ", ".join(dict.fromkeys(Path(path).name for path in asked.files))


def kept_in_words(count: int, what: str) -> str:
    """What of an earlier attempt is kept, behind a number of prompts."""
    return f", {count} {what} are kept of an earlier attempt" if count else ""
