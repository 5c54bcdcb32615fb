"""What workers do: load, call the service."""

from jobs import listeners, resuming
from jobs.accuracy import keeping
from jobs.launch import end, start
from jobs.models import Job


def launch_queued(machine_id: int) -> None:
    start.launch_queued(machine_id)


def ask_to_pause(job_id: int) -> None:
    resuming.ask_run(Job.objects.get(pk=job_id), "pause")


def ask_to_save(job_id: int) -> None:
    resuming.ask_run(Job.objects.get(pk=job_id), "save")


def stop_run(job_id: int) -> None:
    end.stop_run(Job.objects.get(pk=job_id))


def keep_outcome(job_id: int) -> None:
    keeping.keep(Job.objects.get(pk=job_id))


def tell_completed(job_id: int) -> None:
    listeners.completed(Job.objects.get(pk=job_id))


def tell_saved(job_id: int) -> None:
    listeners.saved(Job.objects.get(pk=job_id))
