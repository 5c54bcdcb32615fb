"""What users keep of their lists: columns, and views by name."""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.http import QueryDict

from jobs.listing.columns import USUAL, columns_of
from jobs.models import ListColumns, SavedView

MOST = 50  # views of a user
LONGEST_QUERY = 4000
KEPT = ("status", "kind", "q", "where", "archive", "sort", "column")


class TooMany(ValueError):
    """A user has as many views as there may be. The message says so."""


def choose_columns(user: User, names: Iterable[str]) -> list[str]:
    """Remember a user's columns; those that there are not are left out. Gives them."""
    columns = [column.name for column in columns_of(name.strip() for name in names)]
    ListColumns.objects.update_or_create(user=user, defaults={"columns": columns})
    return columns


def forget_columns(user: User) -> list[str]:
    """Back to the usual ones."""
    ListColumns.objects.filter(user=user).delete()
    return [*USUAL]


def query_of(text: str, columns: Iterable[str]) -> str:
    """What a view keeps of the list's address: with its columns, and without the page."""
    given, kept = QueryDict(text[:LONGEST_QUERY]), QueryDict(mutable=True)
    for name in KEPT:
        kept.setlist(name, [value for value in given.getlist(name) if value])
    if not kept.getlist("column"):
        kept.setlist("column", list(columns))
    return kept.urlencode()


def save_view(owner: User, name: str, query: str) -> SavedView:
    """Keep a view; one of the same name is replaced. Raises ``TooMany``."""
    views = SavedView.objects.filter(owner=owner)
    if views.count() >= MOST and not views.filter(name=name).exists():
        raise TooMany(f"You have {MOST} views: delete one first.")
    view, _ = SavedView.objects.update_or_create(owner=owner, name=name, defaults={"query": query})
    return view
