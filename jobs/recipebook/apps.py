from django.apps import AppConfig


class RecipebookConfig(AppConfig):
    name = "jobs.recipebook"
