"""What a log shows to have broken a run. The logs are as torchrun, Ray and verl write them."""

import pytest

from monitoring.readers.failure import Cause, find_cause, last_error

REWARD = """\
(AgentLoopWorkerTQ pid=71) ERROR:2026-11-28 12:00:00,000:Error in _run_prompt for uid=3f
(AgentLoopWorkerTQ pid=71) Traceback (most recent call last):
(TaskRunner pid=70) waiting for answers
(AgentLoopWorkerTQ pid=71)   File "/env/lib/python3.11/site-packages/verl/loop.py", line 90, in f
(AgentLoopWorkerTQ pid=71)     await self._compute_score(outputs)
(AgentLoopWorkerTQ pid=71) ray.exceptions.RayTaskError(AssertionError): \x1b[36mray::\
RewardLoopWorker.compute_score()\x1b[39m (pid=72, ip=10.0.0.1)
(AgentLoopWorkerTQ pid=71)   File "/env/lib/python3.11/site-packages/verl/naive.py", line 5, in run
(AgentLoopWorkerTQ pid=71)     return self.compute_score(**given)
(AgentLoopWorkerTQ pid=71)   File "/home/ada/rewards/exact.py", line 3, in compute_score
(AgentLoopWorkerTQ pid=71)     assert False
(AgentLoopWorkerTQ pid=71) AssertionError
"""
FOLLOWS = """\
Traceback (most recent call last):
  File "/env/lib/python3.11/site-packages/verl/trainer/main_ppo.py", line 40, in main
    run_ppo(config)
ray.exceptions.RayTaskError(RuntimeError): ray::TaskRunner.run() (pid=70, ip=10.0.0.1)
  File "/env/lib/python3.11/site-packages/verl/trainer/ppo/v1/replay_buffer.py", line 510, in sample
    raise RuntimeError(message)
RuntimeError: Sync replay buffer selected terminal groups with no materializable trajectories. \
Enable trainer.v1.sampler.sync_refill_failed_groups to replace failed groups.
"""
LOST = """\
Traceback (most recent call last):
  File "/env/lib/python3.11/site-packages/verl/trainer/main_ppo.py", line 93, in run_ppo
    ray.get(runner.run.remote(config))
ray.exceptions.RayTaskError(TooManyLost): \x1b[36mray::TaskRunner.run()\x1b[39m (pid=70)
  File "/env/lib/python3.11/site-packages/verl/trainer/ppo/v1/replay_buffer.py", line 510, in sample
    raise RuntimeError(message)
RuntimeError: Sync replay buffer selected terminal groups with no materializable trajectories. \
Enable trainer.v1.sampler.sync_refill_failed_groups to replace failed groups.

The above exception was the direct cause of the following exception:

\x1b[36mray::TaskRunner.run()\x1b[39m (pid=70, ip=10.0.0.1)
  File "/yard/environments/node/trainyard_node/hooks/lost.py", line 141, in _answer_for
    raise TooManyLost(lost) from error
trainyard_node.hooks.lost.TooManyLost: Step 1: 8 of 8 answers failed. The first: AssertionError
"""
NO_ROWS = (
    "RuntimeError: Sync replay buffer selected terminal groups with no materializable trajectories."
)
OWN = "AssertionError (exact.py, line 3, in compute_score)."
CHILD = """\
Traceback (most recent call last):
  File "/env/bin/torchrun", line 8, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
trainyard_node.sft FAILED
"""


def cause(log: str) -> str:
    return find_cause(log.encode()).text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[rank0]: ValueError: x", "ValueError: x"),
        ("[default3]:[rank3]: KeyError: 'a'", "KeyError: 'a'"),
        ("(TaskRunner pid=7) RuntimeError: x", "RuntimeError: x"),
        ("(TaskRunner pid=7, ip=10.0.0.2) OSError: x [repeated 3x across cluster]", "OSError: x"),
        ("AssertionError", "AssertionError"),
        ("ValueError:", "ValueError:"),
        ("subprocess.TimeoutExpired: x", "subprocess.TimeoutExpired: x"),
        ("torch.cuda.OutOfMemoryError: x", "torch.cuda.OutOfMemoryError: x"),
        ("\x1b[31mValueError: red\x1b[0m", "ValueError: red"),
        ("E.ChildFailedError: x", ""),
        ("Error", ""),
        ("loss: 0.5", ""),
        ("see docs.verl.ai: more", ""),
    ],
)
def test_a_line_that_names_an_exception(line: str, said: str) -> None:
    assert last_error(line) == said
    assert cause(f"{line}\n") == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("AssertionError", "AssertionError"),
        ("ValueError:", "ValueError"),
        ("subprocess.TimeoutExpired: x", "subprocess.TimeoutExpired: x"),
        ("StopIteration", "StopIteration"),
        ("ray.exceptions.OutOfMemoryError: x", "ray.exceptions.OutOfMemoryError: x"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "[rank1]: ", "(TaskRunner pid=7) "])
def test_any_exception_with_a_traceback(prefix: str, line: str, said: str) -> None:
    lines = ["Traceback (most recent call last):", '  File "/lib/python3.11/x.py", line 1', line]
    log = "".join(f"{prefix}{text}\n" for text in lines)
    assert cause(log + "SomeError: printed later\n" + CHILD) == said


def test_the_users_own_code_leads_whatever_comes_after_it() -> None:
    log = f"starting\n{REWARD}{REWARD}{FOLLOWS}"
    found = find_cause(log.encode(), 1000)
    assert found.text == f"{OWN} Then: {NO_ROWS}"
    assert found.start is not None
    assert log.encode()[found.start - 1000 :].startswith(b"(AgentLoopWorkerTQ pid=71) Assertion")


def test_the_users_own_code_leads_on_any_rank() -> None:
    broken = 'Traceback (most recent call last):\n  File "{}", line 2, in f\n    g()\n{}\n'
    trainer = broken.format("/env/lib/python3.11/site-packages/verl/x.py", "RuntimeError: other")
    own = broken.format("/home/ada/verl/data.py", "KeyError: 'text'")
    ranks = [trainer, own]
    lines = [f"[rank{at}]: {line}" for at, log in enumerate(ranks) for line in log.splitlines()]
    assert cause("\n".join(lines)) == "KeyError: 'text' (data.py, line 2, in f)."


def test_what_came_out_of_one_another_is_told_by_its_last() -> None:
    log = """\
Traceback (most recent call last):
  File "/lib/python3.11/hub.py", line 1, in f
HFValidationError: Repo id must be in the form

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/lib/python3.11/hub.py", line 2, in g
OSError: there is no folder /x
Traceback (most recent call last):
  File "/lib/python3.11/exit.py", line 2, in g
RuntimeError: at exit
"""
    assert cause(log) == "OSError: there is no folder /x"


def test_what_was_before_the_last_step_broke_nothing() -> None:
    assert cause(f"{REWARD}(TaskRunner pid=70) step:4 - actor/loss:0.1\n") == ""
    told = cause(f"{REWARD}step:4 - actor/loss:0.1\n{FOLLOWS}")
    assert told == NO_ROWS


def test_a_syntax_error_of_the_users() -> None:
    log = """\
Traceback (most recent call last):
  File "/env/lib/python3.11/site-packages/verl/load.py", line 9, in load
    spec.loader.exec_module(module)
  File "/home/ada/reward.py", line 7
    def f(:
          ^
SyntaxError: invalid syntax
"""
    assert cause(log) == "SyntaxError: invalid syntax (reward.py, line 7)."


def test_a_long_text_is_cut() -> None:
    assert len(cause("ValueError: " + "x" * 1000)) == 300


def test_a_log_without_a_cause() -> None:
    assert find_cause(b"") == Cause("", None)
    assert cause("Traceback (most recent call last):\n  File") == ""
    assert cause("all went well\n\xff\x00\n") == ""


def test_an_exception_that_came_of_another_in_a_process_of_ray_says_more() -> None:
    log = (REWARD + LOST).encode()
    assert find_cause(log).text == (
        f"{OWN} Then: TooManyLost: Step 1: 8 of 8 answers failed. The first: AssertionError"
    )
