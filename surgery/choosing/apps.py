from django.apps import AppConfig


class ChoosingConfig(AppConfig):
    name = "surgery.choosing"
