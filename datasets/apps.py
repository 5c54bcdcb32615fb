from django.apps import AppConfig

from platform_site.work.doers import done_by


class DatasetsConfig(AppConfig):
    name = "datasets"
    verbose_name = "Data sets"

    def ready(self) -> None:
        for label in ("datasets.source", "datasets.version", "datasets.report"):
            done_by(label, "datasets.working.work_off", in_line=True)
