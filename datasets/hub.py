"""Fetch a data set from the Hugging Face hub, if there is a network."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

# owner/name, then an optional file in it.
NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(:(?P<file>[\w./ -]+))?")
WITHOUT_HUB = (
    "Where this machine reaches the hub only through a proxy or a mirror, start Trainyard with "
    "HTTPS_PROXY or HF_ENDPOINT set, and try again. Or fetch the file on a machine that reaches "
    "the hub (hf download OWNER/NAME --repo-type dataset), and add it by upload or as a file on "
    "this machine."
)
READABLE = (".parquet", ".jsonl", ".json", ".csv", ".jsonl.gz", ".json.gz", ".csv.gz")


def fetch(name: str, folder: Path, progress: Callable[[int, int], None]) -> Path:
    """Fetch one file of ``owner/name`` or ``owner/name:path/in/it`` into ``folder``.

    Raises ``ValueError`` with a sentence: not a valid name, no network, no such data set, or
    several files of which one must be named.
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name} is not owner/name, or owner/name:file.")
    from httpx import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        file = found["file"] or _only_file(
            name, api.list_repo_files(found["repo"], repo_type="dataset")
        )
        progress(0, 0)
        cached = api.hf_hub_download(found["repo"], file, repo_type="dataset", local_dir=folder)
    except RepositoryNotFoundError:
        raise ValueError(f"The hub has no data set {found['repo']}, or keeps it closed.") from None
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise ValueError(_away(name, error, api.endpoint)) from None
    kept = folder.with_name(folder.name + "".join(Path(file).suffixes[-2:]))
    shutil.move(cached, kept)
    shutil.rmtree(folder, ignore_errors=True)
    return kept


def _only_file(name: str, files: list[str]) -> str:
    readable = [file for file in files if file.endswith(READABLE)]
    if not readable:
        raise ValueError(f"{name} has no JSON, JSONL, CSV or Parquet file.")
    if len(readable) > 1:
        shown = ", ".join(sorted(readable)[:10])
        raise ValueError(f"{name} has several files: name one, as in {name}:{readable[0]}. {shown}")
    return readable[0]


def _away(name: str, error: Exception, endpoint: str) -> str:
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{name} could not be fetched from {endpoint}: {first.rstrip('.')}. {WITHOUT_HUB}"
