from django.apps import AppConfig


class CompareConfig(AppConfig):
    name = "monitoring.compare"
    label = "compare_runs"  # jobs.compare has the other
