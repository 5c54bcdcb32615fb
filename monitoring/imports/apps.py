from django.apps import AppConfig

from platform_site.work.doers import done_by


class ImportsConfig(AppConfig):
    name = "monitoring.imports"

    def ready(self) -> None:
        done_by("monitoring.runimport", "monitoring.imports.working.work_off", in_line=True)
