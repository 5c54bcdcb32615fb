"""What workers do."""

from platform_site.work.process import start_process


def start(label: str, pk: int) -> None:
    start_process("work", label, str(pk))
