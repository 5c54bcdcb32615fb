"""The admin's title, and what pages share whose rows nobody types in."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.db.models.options import Options
from django.http import HttpRequest

admin.site.site_title = admin.site.site_header = "Trainyard"
admin.site.index_title = "Records"


class NotAdded:
    """The platform makes these rows."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NotEdited(NotAdded):
    """They may be deleted, and are otherwise as the platform wrote them.

    An action that changes them through the services asks for the permission "act".
    """

    opts: Options[Any]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whether the user may change these rows, though not in the admin's form."""
        change = get_permission_codename("change", self.opts)
        return request.user.has_perm(f"{self.opts.app_label}.{change}")


class ReadOnly(NotEdited):
    """What the platform measured or did. The rows go with the job or machine they tell of."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
