from django.apps import AppConfig


class AveragesConfig(AppConfig):
    name = "surgery.averages"
