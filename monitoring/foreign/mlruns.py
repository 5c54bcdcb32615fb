"""A folder in which MLflow keeps a run: ``metrics/NAME`` has lines of time, value and step."""

from pathlib import Path

from monitoring.foreign.databases import ENDS, mlflow_point
from monitoring.foreign.found import BROKEN_LINES, Run, Tell, as_number

META, METRICS, PARAMS = "meta.yaml", "metrics", "params"
NUMBERS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
LONGEST_PARAM = 8192


def read(folder: Path, files: list[Path], run: Run, tell: Tell) -> None:
    """``files`` are those below the folder. Raises ``OSError``."""
    about = _facts(folder / META)
    run.name = about.get("run_name") or about.get("run_id") or folder.name
    said = about.get("status", "")
    run.status = ENDS.get(NUMBERS.get(said, said), "")
    for path in files:
        parts = path.relative_to(folder).parts
        if parts[0] == METRICS and len(parts) > 1:
            _metric(path, "/".join(parts[1:]), run)
        elif parts[0] == PARAMS and len(parts) > 1:
            with path.open("rb") as file:
                text = file.read(LONGEST_PARAM).decode("utf-8", "replace")
            run.config["/".join(parts[1:])] = text
        tell(path.stat().st_size)


def _metric(path: Path, name: str, run: Run) -> None:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            try:
                time, value, step = words[0], words[1], words[2] if len(words) > 2 else "0"
                number = as_number(value)
                mlflow_point(
                    run, name, int(step), float(value) if number is None else number, int(time)
                )
            except (ValueError, IndexError):
                run.left_out[BROKEN_LINES] += 1


def _facts(path: Path) -> dict[str, str]:
    """The plain lines of ``meta.yaml``."""
    with path.open(encoding="utf-8", errors="replace") as file:
        pairs = [line.partition(":") for line in file.read(1 << 16).splitlines()]
    return {key.strip(): value.strip().strip("'\"") for key, colon, value in pairs if colon}
