"""The SHA-256 of files of this machine; that of a large one is kept, for 30 GiB take a minute."""

import hashlib
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from compute.runners.base import RunnerError
from jobs.models import KnownDigest

LARGE = 8 << 20  # bytes; what is smaller is read again, which is as quick as asking
CHUNK = 1 << 20
SETTLED = 2.0  # seconds; a file may change twice within one tick of the disk's clock
KEPT = timedelta(days=90)


def digest_of(path: Path, read: Callable[[int], None] = lambda count: None) -> str:
    """SHA-256 in hex of a file. ``read`` is told of every piece that was read, or was known.

    Raises ``RunnerError`` when it cannot be read, or changes meanwhile.
    """
    try:
        real = path.resolve(strict=True)
        facts = real.stat()
        if facts.st_size >= LARGE and (known := _known(real, facts)):
            read(facts.st_size)
            return known
        digest = _hashed(real, read)
        after = real.stat()
    except OSError as error:
        raise RunnerError(f"{path} cannot be read: {error.strerror}") from error
    if _stamp(after) != _stamp(facts):
        raise RunnerError(f"{path} changed while it was read. Try again when it is settled.")
    if facts.st_size >= LARGE and time.time() - facts.st_ctime > SETTLED:
        _keep(real, facts, digest)
    return digest


def _known(path: Path, facts: os.stat_result) -> str | None:
    found = KnownDigest.objects.filter(key=_key(path), stamp=_stamp(facts)).first()
    if found:
        KnownDigest.objects.filter(pk=found.pk).update(used_at=timezone.now())
    return found.digest if found else None


def _keep(path: Path, facts: os.stat_result, digest: str) -> None:
    fresh = {"stamp": _stamp(facts), "digest": digest, "used_at": timezone.now()}
    KnownDigest.objects.update_or_create(key=_key(path), defaults=fresh)
    KnownDigest.objects.filter(used_at__lt=timezone.now() - KEPT).delete()


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()


def _stamp(facts: os.stat_result) -> str:
    return f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns} {facts.st_ino}"


def _hashed(path: Path, read: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
            read(len(data))
    return digest.hexdigest()
