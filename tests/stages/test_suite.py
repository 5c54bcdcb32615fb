"""The runner of the stages, on small stages of its own."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.stages import suite
from tests.stages.plan import RAY, ROOT, STAGES, Stage
from tests.waiting import eventually

TWO_LINES = "print('one'); print('2 passed in 0.10s')"


def small(name: str, script: str, budget: float = 1, computes: bool = False) -> Stage:
    return Stage(name, (sys.executable, "-c", script), budget, computes)


def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *stages: Stage
) -> tuple[int, str]:
    monkeypatch.setattr(suite, "STAGES", stages)
    return suite.main([]), capsys.readouterr().out


def test_the_output_of_a_stage_is_printed_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = small("first", TWO_LINES, computes=True), small("beside", TWO_LINES)
    code, out = told(monkeypatch, capsys, *stages)
    assert code == 0
    assert out.count("\none\n2 passed in 0.10s\n────") == 2
    assert "──── first: passed in 0.0 minutes" in out
    assert "OVER BUDGET" not in out


def test_one_failure_fails_the_whole_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = told(
        monkeypatch, capsys, small("bad", "raise SystemExit(3)"), small("good", TWO_LINES)
    )
    assert code == 1
    assert "──── bad: FAILED (3)" in out
    assert "──── good: passed" in out


def test_a_stage_over_its_budget_is_named_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = told(monkeypatch, capsys, small("slow", TWO_LINES, budget=0.00001))
    assert code == 0
    assert out.splitlines()[-1] == "OVER BUDGET: slow took 0.0 minutes, and may take 1e-05"


def test_no_two_stages_of_a_kind_run_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    alone = f"import pathlib; p = pathlib.Path({str(tmp_path / 'here')!r}); p.mkdir(); p.rmdir()"
    stages = [small(f"stage {number}", alone, computes=True) for number in range(3)]
    assert told(monkeypatch, capsys, *stages)[0] == 0


MEETS = """
import pathlib, sys, time
mine, other = (pathlib.Path({folder!r}, name) for name in {names})
mine.touch()
end = time.monotonic() + 20
while not other.exists():
    time.sleep(0.01)
    if time.monotonic() > end: sys.exit(1)
"""


def meeting(folder: Path, *names: str) -> Stage:
    """It passes if a stage of the other name runs beside it."""
    return small(names[0], MEETS.format(folder=str(folder), names=names))


def test_two_that_wait_run_at_once_when_none_is_left_that_computes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    computes = small("computes", TWO_LINES, computes=True)
    stages = computes, meeting(tmp_path, "a", "b"), meeting(tmp_path, "b", "a")
    code, out = told(monkeypatch, capsys, *stages)
    assert code == 0, out


def test_a_stage_in_which_a_choice_finds_no_test_has_not_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = "import sys, json; print(json.dumps(sys.argv[1:])); raise SystemExit(5)"
    monkeypatch.setattr(suite, "STAGES", (small("empty", script),))
    assert suite.main(["-k", "nothing"]) == 0
    assert suite.main([]) == 1


def test_arguments_reach_each_pytest_and_a_choice_leaves_out_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = (sys.executable, "-c", "import sys, json; print(json.dumps(sys.argv[1:]))")
    lint = Stage("lint", shown, 1, takes_tests=False)
    monkeypatch.setattr(suite, "STAGES", (lint, Stage("unit", shown, 1), Stage("other", shown, 1)))
    assert suite.main(["-k", "a name", "-x", "--only", "unit"]) == 0
    assert json.dumps(["-k", "a name", "-x"]) in capsys.readouterr().out
    names = [[stage.name for stage in suite.choice(argv)[0]] for argv in ([], ["-x"])]
    assert names == [["lint", "unit", "other"], ["unit", "other"]]


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(SystemExit):
        suite.choice(["--only", "unit,nonsense"])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_every_process_of_every_stage(tmp_path: Path, how: signal.Signals) -> None:
    """Also a process with a session of its own, and a process that ignores Ctrl-C."""
    below = f"""
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"],
                         start_new_session=True)
print("it began", flush=True)
part = pathlib.Path({str(tmp_path)!r}, f"{{sys.argv[1]}}.part")
part.write_text(str(child.pid))
part.rename(part.with_suffix(".pid"))
child.wait()
"""
    script = f"""
import runpy, sys
from tests.stages import process, suite
from tests.stages.plan import Stage
process.ENDS_WITHIN = 0.5
suite.STAGES = tuple(
    Stage(name, (sys.executable, "-c", {below!r}, name), 1, computes)
    for name, computes in (("a", True), ("b", False))
)
runpy.run_module("tests.stages", run_name="__main__")
"""
    running = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    files = tmp_path / "a.pid", tmp_path / "b.pid"
    eventually(lambda: running.poll() or all(file.exists() for file in files))
    running.send_signal(how)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == suite.CUT_SHORT
    assert out.count("it began") == 2
    eventually(lambda: all(is_gone(int(file.read_text())) for file in files), 10)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_each_stage_has_a_name_of_its_own_and_a_budget() -> None:
    assert len({stage.name for stage in STAGES}) == len(STAGES)
    assert all(stage.budget > 0 for stage in STAGES)


def test_tests_that_start_ray_lie_where_their_stage_looks() -> None:
    """Those that share the cluster ask for it by its name, or are of every place."""
    named = re.compile(r"mark\.ray\b|\bcluster: RayCluster|^@everywhere", re.MULTILINE)
    files = (ROOT / "tests").rglob("test_*.py")
    python = [path for path in files if named.search(path.read_text())]
    found = {str(path.relative_to(ROOT)) for path in python} - {"tests/stages/test_suite.py"}
    assert len(found) > 3
    assert all(path.startswith(RAY) for path in found), found


@pytest.mark.parametrize("name", ["e2e", "chaos"])
def test_marked_tests_lie_where_their_stage_looks(name: str) -> None:
    python = [path for path in (ROOT / "tests").rglob("*.py") if f"mark.{name}" in path.read_text()]
    assert python
    assert {path.relative_to(ROOT).parts[1] for path in python} == {name}
