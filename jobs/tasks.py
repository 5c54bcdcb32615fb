"""What workers do: load, call the service."""

from jobs import services
from jobs.models import Job


def launch_queued(machine_id: int) -> None:
    services.launch_queued(machine_id)


def stop_run(job_id: int) -> None:
    services.stop_run(Job.objects.get(pk=job_id))
