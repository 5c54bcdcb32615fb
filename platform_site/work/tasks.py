"""What workers do."""

from platform_site.work.doers import IN_LINE
from platform_site.work.places import place, start_in
from platform_site.work.process import start_process


def start(label: str, pk: int) -> None:
    """What takes turns and finds no place is started by who leaves one."""
    if label not in IN_LINE:
        start_process("work", label, str(pk))
        return
    with place() as found:
        if found:
            start_in(found, label, pk)
