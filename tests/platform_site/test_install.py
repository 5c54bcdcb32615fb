"""What the training environment's installer refuses, before it fetches anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "environments/install.sh"


def install(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *argv], capture_output=True, text=True, check=False, timeout=60
    )


def test_without_a_release_it_says_how_it_is_called() -> None:
    done = install()
    assert done.returncode == 1
    assert "usage: install.sh RELEASE VENV [PYTHON]" in done.stderr


def test_an_unknown_release_is_told_the_known_ones(tmp_path: Path) -> None:
    done = install("0.6", str(tmp_path / "venv"), sys.executable)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("there are: verl-0.7 verl-0.8 verl-0.9")
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("release", ["0.7", "0.8", "0.9"])
def test_a_folder_in_use_is_left_alone(release: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    done = install(release, str(folder), sys.executable)
    assert done.returncode == 1
    assert "in use for something else" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_another_python_than_verl_runs_on_is_refused(tmp_path: Path) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.9" && exit 0\nexit 1\n')
    python.chmod(0o755)
    done = install("0.8", str(tmp_path))
    assert done.returncode == 1
    assert "needs Python 3.11 or 3.12" in done.stderr
    assert "Python 3.9.9" in done.stderr


def made(
    folder: Path, python3: int | None, python312: int | None
) -> subprocess.CompletedProcess[str]:
    """What ``make install`` would do where these are the minor versions of the two commands."""
    programs = folder / "bin"
    programs.mkdir()
    for name, minor in (("python3", python3), ("python3.12", python312)):
        if minor is not None:
            fits = 0 if minor in (11, 12) else 1
            (programs / name).write_text(f"#!/bin/sh\nexit {fits}\n")
            (programs / name).chmod(0o755)
    for name in ("make", "sh", "bash"):
        (programs / name).symlink_to(shutil.which(name) or "")
    return subprocess.run(
        ["make", "-n", "install", f"VENV={folder}/venv", f"TRAIN={folder}/train"],
        env={"PATH": str(programs)}, cwd=SCRIPT.parent.parent,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("python3", "python312", "chosen"),
    [(12, None, "python3"), (11, 12, "python3"), (13, 12, "python3.12"), (None, 12, "python3.12")],
)
def test_make_takes_a_python_that_verl_runs_on(
    tmp_path: Path, python3: int | None, python312: int | None, chosen: str
) -> None:
    assert f"{chosen} -m venv {tmp_path}/venv\n" in made(tmp_path, python3, python312).stdout


def test_make_says_which_python_to_install(tmp_path: Path) -> None:
    said = made(tmp_path, 13, None).stdout
    assert 'test -n "" || { echo \'Trainyard needs Python 3.11 or 3.12, and there is none' in said
    assert "make run PYTHON=PATH' >&2; exit 1" in said
