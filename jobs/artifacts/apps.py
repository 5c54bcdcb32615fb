from django.apps import AppConfig

from platform_site.work.doers import done_by


class ArtifactsConfig(AppConfig):
    name = "jobs.artifacts"

    def ready(self) -> None:
        from datasets import elsewhere
        from jobs.artifacts.own import why_closed
        from jobs.artifacts.shown import link_of
        from platform_site import paths

        elsewhere.register(link_of)
        paths.register(why_closed)
        done_by("jobs.removal", "jobs.artifacts.together.work_off")
