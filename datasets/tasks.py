"""What workers do. Work on data may take longer than a task may: it gets a process of its own."""

from datasets.working import spawn


def start(kind: str, pk: int) -> None:
    spawn(kind, pk)
