from django.apps import AppConfig

from platform_site.work.doers import done_by


class ArchiveConfig(AppConfig):
    name = "jobs.archive"

    def ready(self) -> None:
        done_by("jobs.deletion", "jobs.archive.deleting.work_off_all")
