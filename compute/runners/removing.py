"""Which folders a runner removes: runs and what they made, below the work folder, and no others."""

import re
from pathlib import PurePosixPath
from typing import Any

from compute.runners.base import RunnerError

# Below the work folder: a run with all its attempts, what a run saved or exported, and what was
# brought here of one.
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
WHOLE_RUN = re.compile(rf"(?:runs|fetched)/({UUID})")
MADE = re.compile(
    r"(runs/[^/]+/attempt-[0-9]+/(checkpoints/[^/]+|model|adapter|comparison|evaluation)"
    r"|fetched/[^/]+/[^/]+)",
    re.DOTALL,
)


def check_removable(workdir: str, folder: str) -> str:
    """The folder as it is to be removed. Raises ``RunnerError`` for one that is none of ours."""
    path, work = PurePosixPath(folder), PurePosixPath(workdir)
    inside = str(path.relative_to(work)) if path.is_relative_to(work) else ""
    is_known = WHOLE_RUN.fullmatch(inside) or MADE.fullmatch(inside)
    if ".." in path.parts or "\0" in folder or not is_known:
        raise RunnerError(
            f"{folder} is no folder that a run made below {workdir}: Trainyard removes no other."
        )
    return str(path)


def read_removed(answer: Any) -> int | None:
    """The bytes that were freed, None where there was no such folder. Raises ``RunnerError``."""
    told = answer if isinstance(answer, dict) else {}
    if "error" in told:
        raise RunnerError(str(told["error"]))
    freed = told.get("freed", "")
    if freed is None or (isinstance(freed, int) and freed >= 0):
        return freed
    raise RunnerError("remove gave an answer that cannot be read.")
