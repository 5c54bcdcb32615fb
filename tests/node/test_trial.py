"""The trial of a reward function: whatever the function does, each row has an answer."""

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from trainyard_node.rewards import arithmetic
from trainyard_node.rewards.plain import plain

Document = dict[str, Any]
Try = Callable[..., Document]
ARGUMENTS = "data_source, solution_str, ground_truth, extra_info=None, **kwargs"


def row(answer: str, truth: Any = "12", **more: Any) -> dict[str, Any]:
    return {"data_source": "x", "solution_str": answer, "ground_truth": truth, **more}


def run(rows: list[dict[str, Any]], *options: str) -> Document:
    done = subprocess.run(
        [sys.executable, "-m", "trainyard_node.rewards.trial", *options],
        input="".join(json.dumps(entry) + "\n" for entry in rows),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    document: Document = json.loads(done.stdout)
    assert [answer["index"] for answer in document["rows"]] == list(range(len(rows)))
    return document


@pytest.fixture
def attempt(tmp_path: Path) -> Try:
    def tried(body: str, answers: list[str], *options: str, head: str = "") -> Document:
        file = tmp_path / "reward.py"
        code = f"def compute_score({ARGUMENTS}):\n" + textwrap.indent(body, "    ")
        file.write_text(head + "\n" + code + "\n")
        return run([row(answer) for answer in answers], "--path", str(file), *options)

    return tried


def kinds(document: Document) -> list[str | None]:
    return [answer.get("problem", {}).get("kind") for answer in document["rows"]]


def scores(document: Document) -> list[float | None]:
    return [answer["score"] for answer in document["rows"]]


def test_scores_parts_and_seconds() -> None:
    document = run([row("12"), row("13"), row("about 12")], "--path", arithmetic.__file__)
    assert scores(document) == [1.0, 0.1, 0.0]
    assert [answer["parts"]["acc"] for answer in document["rows"]] == [1.0, 0.0, 0.0]
    assert all(0 <= answer["seconds"] < 1 for answer in document["rows"])
    assert document["load"]["signature_problem"] == ""
    assert "problem" not in document["load"]


def test_an_infinite_loop_ends_and_the_rest_still_runs(attempt: Try) -> None:
    body = "while solution_str == 'spin': pass\nreturn 1"
    document = attempt(body, ["a", "spin", "b"], "--call-seconds", "1")
    assert scores(document) == [1.0, None, 1.0]
    assert kinds(document) == [None, "timeout", None]
    assert document["rows"][1]["problem"]["message"] == "No answer within 1 s."
    assert document["rows"][1]["seconds"] >= 1


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("import os; os._exit(3)", "crash", "It ended the process: exit code 3."),
        ("import ctypes; ctypes.string_at(0)", "crash", "signal 11 (SIGSEGV)"),
        ("import os; os.kill(os.getpid(), 9)", "crash", "signal 9 (SIGKILL)"),
        ("import os; os.closerange(0, 99); import time; time.sleep(60)", "crash", "closed the"),
        ("import sys; sys.exit('enough')", "exit", "SystemExit: enough"),
        ("raise KeyboardInterrupt", "exception", "KeyboardInterrupt"),
        ("return f(1)", "exception", "NameError: name 'f' is not defined"),
        ("return compute_score(1, 'bad', 3)", "exception", "RecursionError"),
        ("return [0] * 10**10", "exception", "MemoryError: it needs more memory"),
        ("import signal; signal.alarm(1); signal.signal(14, print)", "exception", "main thread"),
        ("return None", "wrong_return", "It is None (NoneType); verl needs a number"),
        ("return float('nan')", "wrong_return", "It is nan"),
        ("return 10 ** 400", "wrong_return", "It is inf"),
        ("return '1.0'", "wrong_return", "It is '1.0' (str)"),
        ("return {'acc': 1}", "wrong_return", "no key 'score'; it has acc"),
        ("return {'score': None}", "wrong_return", "The dict's score is None"),
        ("return {'score': 1, 'cost': {'a': 1}}", "wrong_return", "Its part 'cost' is {'a': 1}"),
        ("async def later(): return 1\nreturn later()", "wrong_return", "a coroutine"),
    ],
)
def test_what_goes_wrong_is_told_of_its_row(
    attempt: Try, body: str, kind: str, message: str
) -> None:
    bad = "if solution_str == 'bad':\n" + textwrap.indent(body, "    ") + "\nreturn 0.5"
    options = ("--call-seconds", "10", "--memory-mb", "2000")
    document = attempt(bad, ["good", "bad", "good"], *options)
    assert scores(document) == [0.5, None, 0.5], document
    assert kinds(document) == [None, kind, None]
    assert message in document["rows"][1]["problem"]["message"]


def test_a_traceback_begins_in_the_users_file(attempt: Try) -> None:
    document = attempt("return int(solution_str)", ["x"])
    trace = document["rows"][0]["problem"]["traceback"]
    assert trace[0].endswith('reward.py", line 3, in compute_score')
    assert trace[1].strip() == "return int(solution_str)"
    assert "trainyard_node" not in "".join(trace)


def test_parts_become_plain_json(attempt: Try) -> None:
    body = (
        "return {'score': 1, 'n': np.float64(2), 'nan': float('nan'), 'list': (1, 2),"
        " 'text': 'x' * 10**6, 'none': None}"
    )
    parts = attempt(body, ["a"], head="import numpy as np")["rows"][0]["parts"]
    assert (parts["n"], parts["nan"], parts["list"]) == (2.0, "nan", [1, 2])
    assert parts["none"] is None
    assert len(parts["text"]) == 10_001


def test_any_value_becomes_plain_json() -> None:
    found = plain({"big": 10**5000, "deep": {"a": [1, (2, 3)]}, "object": {1}})
    assert found["big"].endswith("bits)")
    assert found["deep"] == {"a": [1, [2, 3]]}
    assert found["object"] == "{1}"


def test_output_is_kept_short_and_counted(attempt: Try) -> None:
    body = "print(solution_str * 1000)\nreturn 1"
    first, second = attempt(body, ["a" * 1000, "b"])["rows"]
    assert first["output_bytes"] == 1_000_001
    assert first["output"] == "a" * 4000
    assert second["output"] == "b" * 1000 + "\n"


def test_endless_output_ends(attempt: Try) -> None:
    document = attempt("while True: print('x' * 9999)", ["a"], "--call-seconds", "1")
    assert kinds(document) == ["timeout"]
    assert document["rows"][0]["output_bytes"] > 10_000


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(4)", "SystemExit: 4"),
        ("import os; os._exit(9)", "It ended the process: exit code 9."),
        ("while True: pass", "No answer within 1 s."),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_file_that_cannot_be_loaded(attempt: Try, head: str, problem: str) -> None:
    document = attempt("return 1", ["a", "b"], "--load-seconds", "1", head=head)
    assert problem in document["load"]["problem"]
    assert kinds(document) == ["not_run", "not_run"]


def test_a_missing_name_tells_which_there_are() -> None:
    document = run([row("1")], "--path", arithmetic.__file__, "--name", "reward")
    assert "There is no reward in" in document["load"]["problem"]
    assert "compute_score" in document["load"]["problem"]
    missing = run([row("1")], "--path", "/nowhere/f.py")
    assert "There is no file /nowhere/f.py" in missing["load"]["problem"]


def test_a_wrong_signature_is_told_once_and_of_each_row(tmp_path: Path) -> None:
    file = tmp_path / "reward.py"
    file.write_text("def compute_score(prompt, answer):\n    return 1\n")
    document = run([row("a"), row("b")], "--path", str(file))
    assert (
        "It takes (prompt, answer), and verl calls it with"
        in (document["load"]["signature_problem"])
    )
    assert kinds(document) == ["exception", "exception"]
    assert "unexpected keyword argument" in document["rows"][0]["problem"]["message"]


def test_an_async_function_is_awaited(tmp_path: Path) -> None:
    file = tmp_path / "reward.py"
    file.write_text(
        f"import asyncio\nasync def compute_score({ARGUMENTS}):\n"
        "    await asyncio.sleep(0)\n    return len(solution_str)\n"
    )
    assert scores(run([row("abc")], "--path", str(file))) == [3.0]


def test_what_the_function_is_given(tmp_path: Path) -> None:
    file = tmp_path / "reward.py"
    body = "return {'score': 0, 'given': json.dumps(given)}"
    file.write_text(f"import json\ndef f(**given):\n    {body}\n")
    rows = [row("abc", [1, 2], extra_info={"index": 7})]
    options = ["--name", "f", "--kwargs", '{"style": "strict", "data_source": "y"}']
    given = run(rows, "--path", str(file), *options)["rows"][0]["parts"]["given"]
    assert json.loads(given) == {
        "data_source": "y",
        "solution_str": "abc",
        "ground_truth": [1, 2],
        "extra_info": {"index": 7, "num_turns": 2, "rollout_reward_scores": {}},
        "style": "strict",
    }


def test_the_total_limit_ends_everything(attempt: Try) -> None:
    started = time.monotonic()
    body = "import time; time.sleep(0 if solution_str == 'a' else 60)"
    document = attempt(f"{body}\nreturn 1", ["a", "b", "c"], "--total-seconds", "2")
    assert scores(document) == [1.0, None, None]
    assert kinds(document) == [None, "timeout", "not_run"]
    assert "limit of 2 s" in document["rows"][2]["problem"]["message"]
    assert time.monotonic() - started < 20


def test_processes_of_the_function_are_ended(attempt: Try) -> None:
    body = (
        "import subprocess\n"
        "made = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
        "return {'score': 1, 'pid': made.pid}"
    )
    pid = attempt(body, ["a"])["rows"][0]["parts"]["pid"]
    assert not psutil.pid_exists(pid)


def test_a_thread_left_behind_does_not_hold_the_trial(attempt: Try) -> None:
    body = (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(300,)).start()\nreturn 1"
    )
    assert scores(attempt(body, ["a", "b"])) == [1.0, 1.0]


def test_no_rows_still_load_the_function(attempt: Try) -> None:
    assert "ZeroDivisionError" in attempt("return 1", [], head="1 / 0")["load"]["problem"]


@pytest.mark.verl
def test_builtin_scorers() -> None:
    rows = [
        {**row("So it is\n#### 12"), "data_source": "openai/gsm8k"},
        {**row(r"\boxed{12}"), "data_source": "lighteval/MATH"},
        {**row("12"), "data_source": "nobody/knows"},
    ]
    document = run(rows, "--builtin")
    assert scores(document) == [1.0, 1.0, None]
    assert "NotImplementedError" in document["rows"][2]["problem"]["message"]
