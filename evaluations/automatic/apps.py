from django.apps import AppConfig


class AutomaticConfig(AppConfig):
    name = "evaluations.automatic"

    def ready(self) -> None:
        from evaluations.automatic.listening import Evaluator
        from jobs import listeners

        listeners.register(Evaluator())
