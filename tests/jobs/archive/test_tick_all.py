"""One box ticks all jobs of a page; without JavaScript it is not shown."""

import re

from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client

from tests import factories


def test_the_head_has_a_box_for_all_rows(page: Client, user: User) -> None:
    factories.make_job(user)
    content = page.get("/jobs/").content.decode()
    head, rows = content.split("<tbody>")
    [box] = re.findall(r"<input[^>]*data-tick-all[^>]*>", head)
    assert 'aria-label="Tick all jobs of this page"' in box
    assert 'class="js-only"' in box
    assert "name=" not in box  # it is sent with no form
    assert len(re.findall(r"\sdata-tick\s", rows)) == 1
    assert "tickall" in head
    assert finders.find("js/tickall.js")
