"""Turns the work folder that a user wrote into a path on the far machine."""

import hashlib
import posixpath


def resolve(text: str, home: str) -> str:
    """The absolute path of a work folder; a leading ``~`` is the far user's home.

    Raises ``ValueError`` with a sentence for the user. Nothing here is left to a shell, so spaces,
    quotes and newlines are part of the name.
    """
    if not text.strip():
        raise ValueError("The work folder is empty. Give a path such as ~/trainyard.")
    if "\0" in text:
        raise ValueError("The work folder has a zero byte in it, which no path can have.")
    if ".." in text.split("/"):
        raise ValueError(
            "The work folder must not have a .. in it. Write the folder that you mean."
        )
    path = posixpath.normpath(_expand(text, home))
    # Two leading slashes are kept by normpath, since POSIX leaves their meaning open.
    path = "/" + path.lstrip("/")
    if path == "/":
        raise ValueError("The work folder must not be /. Give a folder of your own.")
    return path


def is_plain(path: str) -> bool:
    """Whether a shell takes the path for one word as it stands.

    Ray needs that of its Python: a worker is started by ``bash -c "exec PYTHON …"``, in which all
    but the Python is quoted (``ray/_private/runtime_env/context.py``, 2.60).
    """
    return all(letter.isalnum() or letter in "@%+=:,./_-" for letter in path)


def environments_of(text: str) -> str:
    """Where a set-up makes environments for a work folder as a user writes it: below it, unless
    Ray could not start its workers from there."""
    if is_plain(text.removeprefix("~")):
        return posixpath.join(text, "environments")
    mark = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"~/.trainyard/{mark}/environments"


def _expand(text: str, home: str) -> str:
    if text == "~" or text.startswith("~/"):
        return home + text[1:]
    if text.startswith("~"):
        raise ValueError(
            f"{text.partition('/')[0]} is another user's home. Write ~/ for your own, or a path "
            "that begins with /."
        )
    if not text.startswith("/"):
        raise ValueError("The work folder must begin with / or ~/.")
    return text
