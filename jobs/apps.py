from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from compute.machines.users import register
        from jobs.machines import JobsOnMachines

        register(JobsOnMachines())
