"""Verbs on imports of runs. Pages and commands check input through them."""

import shutil
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile

from compute.runners.text import readable
from monitoring.models import RunImport
from platform_site.paths import open_to
from platform_site.work import verbs

LONGEST_NAME = 200
LONGEST_PATH = 1000  # characters, as the row takes


class ImportRefused(ValueError):
    """The message is a sentence for the user."""


def import_path(owner: User, path: str, title: str = "") -> RunImport:
    """Import the runs of a file or folder on this machine. Raises ``ImportRefused``."""
    work = prepared(owner, path, title)
    verbs.ask(work)
    return work


def prepared(owner: User, path: str, title: str = "") -> RunImport:
    """As ``import_path``, for who does the work himself."""
    try:
        real = open_to(owner, path)
    except ValueError as error:
        raise ImportRefused(str(error)) from None
    if not (real.is_file() or real.is_dir()):
        raise ImportRefused(f"There is no file and no folder {path}.")
    if len(str(real)) > LONGEST_PATH or readable(str(real)) != str(real):
        raise ImportRefused(
            f"The path is longer than {LONGEST_PATH:,} characters or no UTF-8: give the folder "
            "another name, or upload it."
        )
    return RunImport.objects.create(
        owner=owner, who=owner.username, name=real.name[:LONGEST_NAME], path=str(real), title=title
    )


def import_upload(owner: User, upload: UploadedFile[Any], title: str = "") -> RunImport:
    """Keep an uploaded file, and import its runs. Raises ``ImportRefused``."""
    name = Path(upload.name or "upload").name[-LONGEST_NAME:]
    work = RunImport.objects.create(
        owner=owner, who=owner.username, name=name, title=title, is_upload=True
    )
    kept = work.folder / "upload" / name
    try:
        kept.parent.mkdir(parents=True)
        _keep(upload, kept)
    except OSError as error:
        shutil.rmtree(work.folder, ignore_errors=True)
        work.delete()
        raise ImportRefused(f"The upload could not be kept: {error.strerror}.") from None
    work.path = str(kept)
    work.save(update_fields=["path"])
    verbs.ask(work)
    return work


def _keep(upload: UploadedFile[Any], kept: Path) -> None:
    if isinstance(upload, TemporaryUploadedFile):
        # It is on the same disk already, so a move is free at any size.
        shutil.move(upload.temporary_file_path(), kept)
        return
    with kept.open("wb") as file:
        for chunk in upload.chunks():
            file.write(chunk)


def cancel(work: RunImport) -> bool:
    return verbs.cancel(work)
