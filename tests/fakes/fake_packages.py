"""Almost empty wheels, so that pip really installs, without a network.

The fake setuptools is a build backend that can only make an editable install.
"""

import zipfile
from pathlib import Path

BACKEND = """
import zipfile
from pathlib import Path

META = "Metadata-Version: 2.1\\nName: trainyard-node\\nVersion: 0.1.0\\n"
WHEEL = "Wheel-Version: 1.0\\nGenerator: fake\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"


def get_requires_for_build_editable(config_settings=None):
    return []


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "trainyard_node-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("trainyard_node.pth", str(Path.cwd()) + "\\n")
        wheel.writestr("trainyard_node-0.1.0.dist-info/METADATA", META)
        wheel.writestr("trainyard_node-0.1.0.dist-info/WHEEL", WHEEL)
        wheel.writestr("trainyard_node-0.1.0.dist-info/RECORD", "")
    return name
"""


def fake_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    info = f"{name}-{version}.dist-info"
    meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    kind = "Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
        wheel.writestr(f"{info}/METADATA", meta)
        wheel.writestr(f"{info}/WHEEL", kind)
        wheel.writestr(f"{info}/RECORD", "")


def fake_packages(folder: Path) -> Path:
    """A folder for pip's ``--find-links`` with fake verl, torch and setuptools."""
    folder.mkdir()
    for name, version in (("verl", "0.9.1"), ("torch", "2.13.0")):
        fake_wheel(folder, name, version, {f"{name}/__init__.py": f"__version__ = {version!r}\n"})
    backend = {"setuptools/__init__.py": "", "setuptools/build_meta.py": BACKEND}
    fake_wheel(folder, "setuptools", "99.0", backend)
    folder.chmod(0o755)
    return folder
