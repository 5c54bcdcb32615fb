from django.apps import AppConfig


class ResultsConfig(AppConfig):
    name = "evaluations.results"

    def ready(self) -> None:
        from evaluations.results.listening import Keeper
        from jobs import listeners

        listeners.register(Keeper())
