from django.apps import AppConfig


class RunConfig(AppConfig):
    name = "jobs.run"
