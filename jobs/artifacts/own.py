"""Which files of this machine are read for a user: none of Trainyard's own that are another's."""

import re
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User

from compute.runners import removing
from jobs.models import Job

# Folders of the home in which everything belongs to some user, or to nobody.
OF_USERS = ("runs", "fetched", "mirror", "imports", "uploads", "ray", "secret_keys")
OF_RUN = re.compile(rf"/(?:runs|fetched|mirror)/({removing.UUID})(?:/|$)")
OF_ALL = "Files of other users lie in {} too: name a folder in it that is yours."
NOT_YOURS = "There is no run of yours at {}."


def why_closed(real: Path, user: User | None) -> str:
    """For a real path whose files would become the user's, why that may not be."""
    home = Path(settings.TRAINYARD_HOME).resolve()
    own = [home / name for name in OF_USERS]
    own += [folder.resolve() for folder in own if folder.is_symlink()]
    if any(folder.is_relative_to(real) for folder in own):
        return OF_ALL
    run = OF_RUN.search(str(real))
    is_own = any(real.is_relative_to(folder) for folder in own)
    if run is None:
        return NOT_YOURS if is_own else ""
    found = Job.objects.filter(uuid=UUID(run[1]))
    if found.visible_to(user or AnonymousUser()).exists():
        return ""
    return NOT_YOURS if is_own or found.exists() else ""
