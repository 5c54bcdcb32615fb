"""Actions on data sets: the only writers. Pages, admin and commands all call them."""

import shutil
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.db import transaction
from django.db.models import Max, ProtectedError

from datasets.formats.columns import ColumnMapping, unknown_columns
from datasets.formats.encodings import UTF8
from datasets.formats.parquet import read_facts
from datasets.formats.sniff import format_of
from datasets.formats.splitting import Split
from datasets.formats.stream import Limits
from datasets.models import Dataset, Report, Source, Target, Version
from platform_site.paths import open_to
from platform_site.work import verbs
from platform_site.work.models import BUSY, State, Work

LONGEST_NAME = 500
W = TypeVar("W", bound=Work)


class DatasetError(Exception):
    """The action cannot be done. The message is a sentence for the user."""


def register(
    name: str, target: str, train_file: str, val_file: str, is_sample: bool = False
) -> Version:
    """Record existing files as a version; the same files again give the same version."""
    dataset, _ = Dataset.objects.get_or_create(name=name, defaults={"is_sample": is_sample})
    files = {"train_file": train_file, "val_file": val_file, "target": target}
    found = dataset.versions.ready().filter(**files).first()
    return found or _new_version(
        dataset,
        state=State.DONE,
        rows_train=read_facts(Path(train_file)).rows,
        rows_val=read_facts(Path(val_file)).rows,
        **files,
    )


def create(name: str, owner: User | None, description: str = "") -> Dataset:
    """Make an empty data set. Raises ``DatasetError`` when the name is taken."""
    dataset, made = Dataset.objects.get_or_create(
        name=name, defaults={"owner": owner, "description": description}
    )
    if not made:
        raise DatasetError(f"There is a data set {name} already: add to it, or take another name.")
    return dataset


def import_upload(
    dataset: Dataset, upload: UploadedFile[Any], who: User | None, encoding: str = UTF8
) -> Source:
    """Keep an uploaded file, and import it. A full disk leaves nothing behind.

    Raises ``DatasetError`` at once for a file of a kind that cannot be imported.
    """
    source = Source(dataset=dataset, origin=Source.Origin.UPLOAD, who=_named(who), size=upload.size)
    source.name = Path(upload.name or "upload").name[:LONGEST_NAME]
    source.encoding = encoding
    kept = source.folder.with_suffix(".upload")
    kept.parent.mkdir(parents=True, exist_ok=True)
    try:
        _keep(upload, kept)
    except OSError as error:
        kept.unlink(missing_ok=True)
        raise DatasetError(f"The upload could not be kept: {error.strerror}.") from None
    source.path = str(kept)
    try:
        _must_be_rows(kept, source.name, encoding)
    except DatasetError:
        kept.unlink(missing_ok=True)
        raise
    return _start(source)


def _keep(upload: UploadedFile[Any], kept: Path) -> None:
    if isinstance(upload, TemporaryUploadedFile):
        # It is on the same disk already, so a move is free at any size.
        shutil.move(upload.temporary_file_path(), kept)
        return
    with kept.open("wb") as file:
        for chunk in upload.chunks():
            file.write(chunk)


def _must_be_rows(path: Path, name: str, encoding: str) -> None:
    """Look at the beginning of a file. Raises ``DatasetError``, also for a folder."""
    try:
        format_of(path, name, Limits(), encoding)
    except (OSError, ValueError) as error:
        raise DatasetError(str(error)) from None


def import_path(dataset: Dataset, path: str, who: User | None, encoding: str = UTF8) -> Source:
    """Import a file on this machine. Raises ``DatasetError`` when it may not be read, and at once
    for a file of a kind that cannot be imported.
    """
    try:
        real = open_to(who, path)
    except ValueError as error:
        raise DatasetError(str(error)) from None
    if not real.exists():
        raise DatasetError(f"There is no file {path}.")
    _must_be_rows(real, real.name, encoding)
    return _start(
        Source(
            dataset=dataset,
            origin=Source.Origin.FOLDER,
            who=_named(who),
            name=real.name[:LONGEST_NAME],
            path=str(real),
            size=real.stat().st_size,
            encoding=encoding,
        )
    )


def import_hub(dataset: Dataset, name: str, who: User | None, encoding: str = UTF8) -> Source:
    """Fetch a data set of the Hugging Face hub, and import it."""
    hub = Source.Origin.HUB
    return _start(
        Source(dataset=dataset, origin=hub, who=_named(who), name=name, encoding=encoding)
    )


def compile_version(
    source: Source, mapping: ColumnMapping, split: Split, who: User | None
) -> Version:
    """Make a version of a source. Asked for twice it is the same version: two tabs, one result."""
    if not source.is_done:
        raise DatasetError("The source is not imported yet.")
    if wrong := unknown_columns(mapping, source.facts.get("fields", {})):
        raise DatasetError(" ".join(wrong.values()))
    wanted = {"mapping": mapping.to_json(), "options": {"split": asdict(split)}}
    with transaction.atomic():
        _lock(source.dataset)
        same = source.versions.filter(state__in=(*BUSY, State.DONE), parent=None, **wanted).first()
        if same:
            return same
        return _start(
            _numbered(
                source.dataset, source=source, target=mapping.target, who=_named(who), **wanted
            )
        )


def check(version: Version, model: str, max_length: int | None, who: User | None) -> Report:
    """Check a version: start a report for this tokenizer and length."""
    _must_be_ready(version)
    return _start(Report(version=version, model=model, max_length=max_length, who=_named(who)))


def clean(
    version: Version,
    codes: Collection[str],
    who: User | None,
    model: str = "",
    max_length: int | None = None,
) -> Version:
    """Make a new version without the rows that have these faults.

    ``model`` and ``max_length`` say when a row is too long, as in the check that found it.
    """
    _must_be_ready(version)
    if not codes:
        raise DatasetError("Choose what to leave out.")
    if "over_length" in codes and not (model and max_length):
        raise DatasetError("What is too long depends on a model and a length: name both.")
    options = {
        **version.options,
        "drop": sorted(codes),
        "model": model,
        "max_length": max_length,
    }
    with transaction.atomic():
        _lock(version.dataset)
        same = version.children.filter(state__in=(*BUSY, State.DONE), options=options).first()
        if same:
            return same
        return _start(
            _numbered(
                version.dataset,
                source=version.source,
                parent=version,
                target=version.target,
                mapping=version.mapping,
                options=options,
                who=_named(who),
            )
        )


def cancel(work: Work) -> bool:
    """Ask work to stop; what waits stops at once."""
    return verbs.cancel(work)


def retry(work: Work, who: User | None) -> bool:
    """Restart work that failed, was cancelled or fell silent; false when it is still going on.

    Raises ``DatasetError`` when it would read what is not open to whoever asks.
    """
    try:
        for path in _read_by(work):
            open_to(who, path)
    except ValueError as error:
        raise DatasetError(str(error)) from None
    with transaction.atomic():
        renewed = verbs.renew(work)
        if renewed:
            verbs.ask(work)
    return renewed


def _read_by(work: Work) -> list[str]:
    """The paths that a user named, and that the work reads."""
    if isinstance(work, Source):
        return [work.path] if work.origin == Source.Origin.FOLDER else []
    return [work.model] if isinstance(work, Report) and work.model else []


def delete_version(version: Version) -> None:
    """Remove a version and its files.

    Raises ``DatasetError`` if it is being made, or if other versions or runs use it.
    """
    if version.is_busy:
        raise DatasetError(f"{version} is being made: cancel it first.")
    if version.children.exists():
        raise DatasetError(f"{version} is where {version.children.first()} came from.")
    folder = version.folder
    try:
        version.delete()
    except ProtectedError:  # rows of another app refer to it
        raise DatasetError(
            f"{version} is named by runs, which say by it what they were trained on."
        ) from None
    shutil.rmtree(folder, ignore_errors=True)


def delete(dataset: Dataset) -> None:
    """Remove a data set with all its contents. Raises ``DatasetError`` if a run uses a version."""
    for work in (*dataset.versions.all(), *dataset.sources.all()):
        if work.is_busy:
            raise DatasetError(f"{work} is being made: cancel it first.")
    folder = dataset.folder
    try:
        _delete_rows(dataset)
    except ProtectedError:
        raise DatasetError(
            f"Runs name a version of {dataset}, and say by it what they read."
        ) from None
    shutil.rmtree(folder, ignore_errors=True)


@transaction.atomic
def _delete_rows(dataset: Dataset) -> None:
    for version in dataset.versions.order_by("-number"):  # delete a version before its parent
        version.delete()
    dataset.delete()


def edit(dataset: Dataset, name: str, description: str) -> None:
    taken = Dataset.objects.filter(name=name).exclude(pk=dataset.pk).exists()
    if taken:
        raise DatasetError(f"There is a data set {name} already.")
    Dataset.objects.filter(pk=dataset.pk).update(name=name, description=description)
    dataset.refresh_from_db()


def find_version(text: str, target: str = "") -> Version:
    """The version that ``name@3`` names, or the newest ready one for ``name`` alone.

    Raises ``ValueError`` with a sentence when there is none, or when it is for another target.
    """
    name, at, number = text.rpartition("@")
    if not at or not number.isdecimal():
        name, number = text, ""
    found = Version.objects.ready().filter(dataset__name=name).order_by("-number")
    version = found.filter(number=int(number)).first() if number else found.first()
    if version is None:
        known = ", ".join(Dataset.objects.values_list("name", flat=True)[:20]) or "none"
        raise ValueError(f"There is no data set {text} that is ready. There are: {known}.")
    if target and version.target != target:
        wanted, has = Target(target).label, Target(version.target).label
        raise ValueError(f"{version} holds {has}; this run reads {wanted}.")
    return version


def _must_be_ready(version: Version) -> None:
    if not version.is_done:
        raise DatasetError(f"{version} is not ready.")


def _new_version(dataset: Dataset, **fields: Any) -> Version:
    with transaction.atomic():
        _lock(dataset)
        version = _numbered(dataset, **fields)
        version.save()
    return version


def _lock(dataset: Dataset) -> None:
    # The lock orders two tabs on PostgreSQL; on SQLite the IMMEDIATE transaction does.
    Dataset.objects.select_for_update().get(pk=dataset.pk)


def _numbered(dataset: Dataset, **fields: Any) -> Version:
    last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
    return Version(dataset=dataset, number=last + 1, **fields)


def _start(work: W) -> W:
    with transaction.atomic():
        work.save()
        verbs.ask(work)
    return work


def _named(who: User | None) -> str:
    return who.get_username() if who else ""
