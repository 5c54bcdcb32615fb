from argparse import ArgumentParser
from typing import Any

from compute.models import Machine
from jobs.queue.state import Device, Queue, Row, queue_of
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Show each machine's devices, what runs there, and what waits, in order and why."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--machine", default="", help="only the queue of this machine")

    def handle(self, *args: Any, **options: Any) -> None:
        machines = Machine.objects.all()
        if options["machine"]:
            machines = machines.filter(name=options["machine"])
            if not machines:
                known = ", ".join(Machine.objects.values_list("name", flat=True))
                told = f"There is no machine {options['machine']}. There are: {known}."
                raise FieldError("machine", told)
        queues = [queue_of(machine) for machine in machines]
        text = "\n\n".join(map(in_words, queues)) or "No machine is known."
        self.show(options, [queue.as_json() for queue in queues], text)


def in_words(queue: Queue) -> str:
    room = queue.room
    slots = f"{room.free_slots} of {room.slots} CPU slots free"
    lines = [f"{queue.machine.name}: {slots}"]
    if room.gpus is None:
        lines.append("  its GPUs are not known yet")
    lines += map(device_line, queue.devices)
    lines += [f"  {job.stands:<8} {job.pk:>6}  {job.name}" for job in queue.running]
    lines += map(waiting_line, queue.waiting)
    return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing runs and nothing waits"])


def device_line(device: Device) -> str:
    state = f"job {device.job.pk}, {device.job.owner}" if device.job else "free"
    return f"  GPU {device.number:<3} {device.name} {state}".replace("  free", " free")


def waiting_line(row: Row) -> str:
    job = row.job
    priority = job.get_priority_display().lower()
    return (
        f"  {row.place:>3}. {job.pk:>6}  {priority:<6} {job.owner!s:<10} {job.name}: {row.reason}"
    )
