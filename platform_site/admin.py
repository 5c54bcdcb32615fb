"""The admin's title, and what pages share whose rows nobody types in."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

admin.site.site_title = admin.site.site_header = "Trainyard"
admin.site.index_title = "Records"


class NotAdded:
    """The platform makes these rows."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NotEdited(NotAdded):
    """They may be deleted, and are otherwise as the platform wrote them."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnly(NotEdited):
    """What the platform measured or did. The rows go with the job or machine they tell of."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
