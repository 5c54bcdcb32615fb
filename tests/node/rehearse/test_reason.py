"""Which line of a trainer's output says what broke it."""

import pytest
from trainyard_node.rehearse.running import reason_in

RAY = "\x1b[36m(TaskRunnerV1 pid=20101)\x1b[0m "


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["step 1", "ValueError: too long", "Traceback", "KeyError: 'x'"], "ValueError: too long"),
        (
            [
                f"{RAY}AssertionError: 5 does not divide 3",
                "ray.exceptions.RayTaskError(AssertionError): it failed",
            ],
            "AssertionError: 5 does not divide 3",
        ),
        (
            ["Could not override 'a.b'.", "Key 'b' is not in struct", "full_key: a.b"],
            "Could not override 'a.b'.",
        ),
        (
            ["torch.distributed.elastic.ChildFailedError: x"],
            "torch.distributed.elastic.ChildFailedError: x",
        ),
        (
            ["Error executing job with overrides: ['a=b']", "Exception: The node timed out."],
            "Exception: The node timed out.",
        ),
        (
            ["Error executing job with overrides: ['a=b']", "[rank0]: TypeError: no 'x'", "Root"],
            "TypeError: no 'x'",
        ),
        (["all is well"], ""),
    ],
)
def test_the_reason_is_the_first_error_that_is_no_wrapper(lines: list[str], reason: str) -> None:
    assert reason_in(lines) == reason
