from django.apps import AppConfig


class AutomaticConfig(AppConfig):
    name = "evaluations.automatic"
