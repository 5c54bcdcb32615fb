"""What is sent to a cluster: ``trainyard_node`` as a package of modules, and single files."""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from compute.runners.node import NODE

RUNNERS = Path(__file__).resolve().parent.parent
PROBE = RUNNERS / "check/probe.py"
# verl finds the plug-ins by the entry points of installed packages; one on the path counts as such.
FACTS = "Metadata-Version: 2.1\nName: trainyard-node\nVersion: 0.1.0\n"
PLUGIN = "[verl.plugins]\ntrainyard = trainyard_node.plugin\n"
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # so that the same files make the same bytes
SENT = "sent"


@lru_cache(maxsize=1)
def node_package() -> tuple[str, bytes]:
    """The package's name, which says what is in it, and its bytes."""
    files = {
        f"trainyard_node/{path.relative_to(NODE)}": path.read_bytes()
        for path in sorted(NODE.rglob("*"))
        if path.is_file() and path.suffix in (".py", ".yaml")
    }
    files["trainyard_probe.py"] = PROBE.read_bytes()
    files["trainyard_node-0.1.0.dist-info/METADATA"] = FACTS.encode()
    files["trainyard_node-0.1.0.dist-info/entry_points.txt"] = PLUGIN.encode()
    return _packed(files, zipfile.ZIP_DEFLATED)


def file_package(sources: Sequence[Path]) -> tuple[str, bytes]:
    """Files, each under its number: their own names may be anything."""
    files = {f"{SENT}/{number}": path.read_bytes() for number, path in enumerate(sources)}
    return _packed(files, zipfile.ZIP_STORED)


def _packed(files: dict[str, bytes], compression: int) -> tuple[str, bytes]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, data in files.items():
            facts = zipfile.ZipInfo(name, LONG_AGO)
            facts.compress_type, facts.external_attr = compression, 0o644 << 16
            archive.writestr(facts, data)
    data = packed.getvalue()
    return f"_ray_pkg_{hashlib.sha256(data).hexdigest()[:32]}.zip", data
