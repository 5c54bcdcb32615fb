"""Far side: answers about files, one request after the other, for as long as the line holds.

A request is a header with ``do``; an answer is a header, and for ``read`` the bytes after it.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compute.runners.far.common import give, open_file, place, take, text

first_look = [0.2]  # seconds: the load of a processor is told since the look before


def main() -> None:
    while (asked := take(sys.stdin.buffer)) is not None:
        try:
            header, payload = ANSWERS[asked["do"]](asked)
        except Problem as problem:
            header, payload = {"error": str(problem)}, b""
        except Exception as error:  # the next question may still be answered
            header, payload = {"error": f"{asked['do']} did not work: {error}"}, b""
        give(header, payload)


class Problem(Exception):
    """A sentence for the user."""


def read(asked: Any) -> tuple[Any, bytes]:
    parts = [read_one(*stretch) for stretch in asked["stretches"]]
    return {"sizes": [len(part) for part in parts]}, b"".join(parts)


def read_one(path: str, offset: int, limit: int) -> bytes:
    try:
        with open_file(place(path)) as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}") from error


def stat(asked: Any) -> tuple[Any, bytes]:
    try:
        facts = place(asked["path"]).stat()
    except OSError:
        return {"facts": None}, b""
    return {"facts": [facts.st_size, facts.st_mtime]}, b""


def files(asked: Any) -> tuple[Any, bytes]:
    root, found = place(asked["path"]), []
    for folder, _, names in os.walk(root):
        for name in names:
            full = Path(folder, name)
            try:
                facts = full.stat()
            except OSError:
                continue
            found.append([text(full.relative_to(root)), facts.st_size, facts.st_mtime])
    return {"files": found}, b""


def exists(asked: Any) -> tuple[Any, bytes]:
    try:
        return {"exists": place(asked["path"]).exists()}, b""
    except OSError as error:  # a folder on the way that may not be entered, for one
        raise Problem(f"{asked['path']} cannot be looked at: {error.strerror}") from error


def bar(asked: Any) -> tuple[Any, bytes]:
    folder, before = place(asked["folder"]), os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / asked["name"]).touch(exist_ok=False)
    except FileExistsError:
        return {"barred": False}, b""
    except OSError as error:
        raise Problem(f"{asked['folder']} cannot be barred: {error}") from error
    finally:
        os.umask(before)
    return {"barred": True}, b""


def ask(asked: Any) -> tuple[Any, bytes]:
    control = place(asked["control"])
    try:
        control.mkdir(exist_ok=True)
        (control / asked["what"]).touch()
    except OSError as error:
        raise Problem(f"The run could not be asked to {asked['what']}: {error}") from error
    return {}, b""


def now(asked: Any) -> tuple[Any, bytes]:
    return {"now": time.time()}, b""


def sample(asked: Any) -> tuple[Any, bytes]:
    try:
        import psutil
        from trainyard_node.gpus import Gpus
    except ImportError as error:
        raise Problem(f"The load cannot be measured: {error}. Set the machine up again.") from error
    try:
        disk = shutil.disk_usage(place(asked["path"]))
    except OSError as error:
        raise Problem(f"{asked['path']} cannot be measured: {error.strerror}") from error
    memory = psutil.virtual_memory()
    percent = psutil.cpu_percent(first_look.pop() if first_look else None)
    return {
        "cpu_percent": percent,
        "memory_used": memory.total - memory.available,
        "memory_total": memory.total,
        "disk_used": disk.total - disk.free,  # what is reserved for root is not there either
        "disk_total": disk.total,
        "gpus": Gpus().read(),
    }, b""


ANSWERS: dict[str, Callable[[Any], tuple[Any, bytes]]] = {
    "read": read,
    "stat": stat,
    "files": files,
    "exists": exists,
    "bar": bar,
    "ask": ask,
    "now": now,
    "sample": sample,
}
