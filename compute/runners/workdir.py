"""The work folder of a far machine, as a user writes it and as it is."""

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
