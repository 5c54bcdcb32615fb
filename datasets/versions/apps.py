from django.apps import AppConfig


class VersionsConfig(AppConfig):
    name = "datasets.versions"
