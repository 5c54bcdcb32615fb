from django.apps import AppConfig


class ConversionsConfig(AppConfig):
    name = "surgery.conversions"
