from django.apps import AppConfig


class AccuracyConfig(AppConfig):
    name = "jobs.accuracy"
