from django.apps import AppConfig


class WorkConfig(AppConfig):
    name = "platform_site.work"
