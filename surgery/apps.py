from django.apps import AppConfig


class SurgeryConfig(AppConfig):
    name = "surgery"

    def ready(self) -> None:
        from jobs.kinds.registry import bring
        from surgery.kinds.merge import Merge

        bring(Merge())
