from django.apps import AppConfig

from platform_site.work.doers import done_by


class SetupConfig(AppConfig):
    name = "compute.setup"

    def ready(self) -> None:
        done_by("compute.setup", "compute.setup.settingup.work_off")
