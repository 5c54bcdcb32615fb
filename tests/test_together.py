import pytest

from tests.together import ask_all


def test_all_that_fail_are_told_and_all_are_counted() -> None:
    asked = []

    def check(number: int) -> None:
        asked.append(number)
        assert 6 / number != 2, "a fault"

    with pytest.raises(AssertionError) as caught:
        ask_all([0, 1, 2, 3, 4], check, lambda number: f"number {number}")
    head, *faults = str(caught.value).splitlines()
    assert head == "2 of 5 failed:"
    assert faults[0] == "number 0: ZeroDivisionError: division by zero"
    assert faults[1].startswith("number 3: AssertionError: a fault")
    assert asked == [0, 1, 2, 3, 4]
    assert ask_all([1, 2], check, str) == 2
