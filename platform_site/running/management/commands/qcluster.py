import sys
from typing import Any

from django.core.management.base import BaseCommand

from platform_site.running.task_cluster import Cluster


class Command(BaseCommand):
    help = "Work off the task queue. Takes the place of django-q2's command of the same name."
    requires_system_checks = ("kinds",)  # up made the others, which import every page

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(Cluster().run())
