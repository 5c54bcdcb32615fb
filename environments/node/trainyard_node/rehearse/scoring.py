"""The reward function on rows of the data: whether it runs, and whether it tells answers apart."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from trainyard_node.rehearse.plan import Doubt, Fault, Plan
from trainyard_node.rehearse.rows import open_file

ROWS = 4
SECONDS = {"call": 20, "load": 60, "total": 120}
# A function may ask for one of these forms; the others are wrong answers.
RIGHT = ("{}", "I think that it is {}.", "\\boxed{{{}}}", "#### {}", "<answer>{}</answer>")
WRONG = ("", "I do not know.", "0")
OWN_METRICS = ("", "reward", "score", "seq_reward", "seq_final_reward")


def check_reward(plan: Plan) -> str:
    """Call the function as verl does, on right and wrong answers."""
    if plan.reward is None:
        return "Answers are not scored here: there is nothing to try."
    rows = list(_rows(plan))
    cases = [case for row in rows for case in _cases(row)]
    found = _tried(plan.reward, cases)
    _check_load(found["load"])
    _check_calls(found["rows"])
    _check_metric(plan, found["rows"])
    return _compared(rows, found["rows"])


def _rows(plan: Plan) -> Iterator[dict[str, Any]]:
    path = plan.files["train"].target
    for index, row in enumerate(open_file(path).read().to_pylist()[:ROWS]):
        model = row.get("reward_model")
        if not isinstance(model, dict) or "ground_truth" not in model:
            raise Fault(
                f"Row {index} has no reward_model with a ground_truth: verl scores by that."
            )
        if "data_source" not in row:
            raise Fault("The data have no column data_source, which verl scores by.")
        yield {
            "data_source": row["data_source"],
            "ground_truth": model["ground_truth"],
            "extra_info": row.get("extra_info") or {},
        }


def _cases(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    truth = row["ground_truth"]
    right = [form.format(truth) for form in RIGHT]
    return [{**row, "solution_str": answer} for answer in (*right, *WRONG)]


def _tried(reward: Mapping[str, Any], cases: list[dict[str, Any]]) -> dict[str, Any]:
    argv = [sys.executable, "-m", "trainyard_node.rewards.trial"]
    if reward.get("path"):
        argv += ["--path", str(reward["path"]), "--name", str(reward["name"])]
        argv += ["--kwargs", json.dumps(reward.get("kwargs") or {})]
    else:
        argv.append("--builtin")
    argv += [f"--{name}-seconds={seconds}" for name, seconds in SECONDS.items()]
    lines = "".join(json.dumps(case, default=str) + "\n" for case in cases)
    done = subprocess.run(argv, input=lines, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault(f"The reward function could not be tried: {done.stderr.strip()[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _check_load(load: Mapping[str, Any]) -> None:
    if problem := load.get("problem"):
        raise Fault(f"The reward function cannot be loaded. {problem}")
    if problem := load.get("signature_problem"):
        raise Fault(f"The reward function cannot be called. {problem}")


def _check_calls(tried: list[dict[str, Any]]) -> None:
    failed = [row["problem"] for row in tried if row.get("problem")]
    if failed:
        called = [each["message"] for each in failed if each["kind"] != "not_run"]
        message, _ = Counter(called or [each["message"] for each in failed]).most_common(1)[0]
        what = f"no score for {len(failed)} of {len(tried)} answers"
        raise Fault(f"The reward function gave {what}. {message}")


def _check_metric(plan: Plan, tried: list[dict[str, Any]]) -> None:
    parts = sorted({name for row in tried for name in row.get("parts") or {}})
    if plan.metric not in OWN_METRICS and plan.metric not in parts:
        known = ", ".join(parts) or "none"
        raise Fault(
            f"Groups are to be filtered by {plan.metric}, which the reward function does not "
            f"return; its parts are: {known}."
        )


def _compared(rows: list[dict[str, Any]], tried: list[dict[str, Any]]) -> str:
    size = len(RIGHT) + len(WRONG)
    groups = [[row["score"] for row in tried[i * size : (i + 1) * size]] for i in range(len(rows))]
    flat = [scores for scores in groups if len(set(scores)) == 1]
    if flat:
        raise Doubt(
            f"For {len(flat)} of {len(rows)} prompts all {size} answers scored {flat[0][0]:g}, the "
            "true one among them in several forms. A group without a difference teaches nothing. "
            "It is no fault where the function asks for a form that was not tried."
        )
    low, high = min(map(min, groups)), max(map(max, groups))
    return f"It scored {len(tried)} answers to {len(rows)} prompts, from {low:g} to {high:g}."
