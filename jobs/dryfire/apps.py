from django.apps import AppConfig


class DryFireConfig(AppConfig):
    name = "jobs.dryfire"
