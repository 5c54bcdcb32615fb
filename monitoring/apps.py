from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "monitoring"

    def ready(self) -> None:
        from jobs import measured
        from monitoring.greatest import greatest_of

        measured.register(greatest_of)
