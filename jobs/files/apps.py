from django.apps import AppConfig

from platform_site.work.doers import done_by


class FilesConfig(AppConfig):
    name = "jobs.files"

    def ready(self) -> None:
        done_by("jobs.fetch", "jobs.files.fetching.work_off")
