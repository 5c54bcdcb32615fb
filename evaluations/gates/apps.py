from django.apps import AppConfig


class GatesConfig(AppConfig):
    name = "evaluations.gates"

    def ready(self) -> None:
        from evaluations.gates.services import settle
        from evaluations.results.listening import AFTER

        AFTER.append(settle)
