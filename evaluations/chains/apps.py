from django.apps import AppConfig


class ChainsConfig(AppConfig):
    name = "evaluations.chains"

    def ready(self) -> None:
        from evaluations.chains.needing import needs_of
        from jobs import needs

        needs.register(needs_of)
