from typing import Any

from django.apps import AppConfig
from django.core import checks


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from compute.machines.users import register
        from jobs.machines import JobsOnMachines

        register(JobsOnMachines())
        checks.register(kinds_that_were_left_out, "kinds")


def kinds_that_were_left_out(**_: Any) -> list[checks.Warning]:
    """Packages that were to bring a kind of job and brought none: the site goes on without them."""
    from jobs.kinds.registry import registry

    return [
        checks.Warning(f"{problem.name}: {problem.why}", id="jobs.W001")
        for problem in registry().problems
    ]
