from django.apps import AppConfig


class ResultsConfig(AppConfig):
    name = "evaluations.results"

    def ready(self) -> None:
        from evaluations.results.keeping import scores_of
        from evaluations.results.listening import Keeper
        from jobs import listeners
        from surgery.choosing import scored

        listeners.register(Keeper())
        scored.register(scores_of)
