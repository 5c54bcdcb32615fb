from django.apps import AppConfig


class MappingConfig(AppConfig):
    name = "datasets.mapping"
