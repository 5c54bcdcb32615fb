from django.apps import AppConfig


class SurgeryConfig(AppConfig):
    name = "surgery"

    def ready(self) -> None:
        from jobs.kinds.registry import bring
        from surgery.kinds.all import KINDS

        bring(*KINDS.values())
