from django.apps import AppConfig


class EvaluationsConfig(AppConfig):
    name = "evaluations"

    def ready(self) -> None:
        from evaluations.kinds.all import KINDS
        from jobs.kinds.registry import bring

        bring(*KINDS.values())
