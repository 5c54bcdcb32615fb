import json
import subprocess
import sys
from pathlib import Path

import pytest

from compute.runners.rundir import read_alive, read_exit_code, read_heartbeat, write_script

HOSTILE = [
    "plain",
    "two words",
    "it's",
    '"',
    "x'; touch pwned #",
    "../../up",
    "$HOME",
    "`id`",
    "$(touch pwned)",
    "a\\",
    "\\n",
    "line\nbreak",
    "tab\t",
    "",
    "*",
    "~",
    "!!",
    "größe 🚂",
    "-n",
    "key=a b",
    "=",
    "x=\n; touch pwned",
]
SHOW = "import json,os,sys; print(json.dumps([sys.argv[1:], os.getcwd(), os.environ['VALUE']]))"


def run(script: str, folder: Path) -> list[object]:
    path = folder / "run.sh"
    path.write_text(script)
    done = subprocess.run(["bash", str(path)], capture_output=True, text=True, check=True)
    found: list[object] = json.loads(done.stdout)
    return found


def test_bash_hands_over_the_very_arguments(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", SHOW, *HOSTILE]
    script = write_script(argv, {"VALUE": "x'; touch pwned #"}, str(tmp_path))
    arguments, cwd, value = run(script, tmp_path)
    assert arguments == HOSTILE
    assert cwd == str(tmp_path)
    assert value == "x'; touch pwned #"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["a b", "it's", "$HOME", "-x", "line\nbreak"])
def test_a_hostile_folder_is_entered(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    script = write_script([sys.executable, "-c", SHOW], {"VALUE": ""}, str(folder))
    assert run(script, tmp_path)[1] == str(folder)


def test_a_folder_that_is_gone_starts_nothing(tmp_path: Path) -> None:
    script = write_script(["touch", str(tmp_path / "ran")], {}, str(tmp_path / "gone"))
    (tmp_path / "run.sh").write_text(script)
    done = subprocess.run(["bash", str(tmp_path / "run.sh")], capture_output=True, check=False)
    assert done.returncode == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [("0\n", 0), ("143\n", 143), ("-9", -9), (None, None), ("", None), ("   ", None), ("x", None)],
)
def test_exit_code(text: str | None, code: int | None) -> None:
    assert read_exit_code(text) == code


@pytest.mark.parametrize(
    ("text", "beat"), [("1700000000.123\n", 1700000000.123), (None, None), ("", None), ("x", None)]
)
def test_heartbeat(text: str | None, beat: float | None) -> None:
    assert read_heartbeat(text) == beat


def test_alive() -> None:
    assert read_alive('{"wrapper": true, "process": false, "exit_code": null}') == (True, False)
