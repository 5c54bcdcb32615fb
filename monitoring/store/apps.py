from django.apps import AppConfig


class StoreConfig(AppConfig):
    name = "monitoring.store"

    def ready(self) -> None:
        from jobs import measured
        from monitoring.store.figures import StoredFigures

        measured.register(StoredFigures())
