"""Tasks of the workers. Work on data may outlast a task's time limit: it gets its own process."""

from datasets.working import spawn


def start(kind: str, pk: int) -> None:
    spawn(kind, pk)
