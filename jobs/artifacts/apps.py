from django.apps import AppConfig


class ArtifactsConfig(AppConfig):
    name = "jobs.artifacts"

    def ready(self) -> None:
        from datasets.versions import elsewhere
        from jobs.artifacts.shown import link_of

        elsewhere.register(link_of)
