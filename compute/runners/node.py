"""The node package of this Trainyard, which is sent to machines, by its digest."""

import hashlib
from functools import lru_cache
from pathlib import Path

NODE = Path(__file__).resolve().parents[2] / "environments/node/trainyard_node"
SUFFIXES = (".py", ".yaml")


@lru_cache(maxsize=1)
def node_digest() -> str:
    """SHA-256 in hex of the package as ``trainyard_node.provenance`` reckons it on a machine."""
    found = hashlib.sha256()
    for path in sorted(NODE.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file():
            found.update(f"{path.relative_to(NODE)}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
