from django.apps import AppConfig


class LineageConfig(AppConfig):
    name = "surgery.lineage"
    label = "surgery_lineage"
