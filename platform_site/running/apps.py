from django.apps import AppConfig


class RunningConfig(AppConfig):
    name = "platform_site.running"
