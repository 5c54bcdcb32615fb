import pytest

from surgery.choice.formula import FormulaError, UnknownValue, parse

METRICS = {"acc": 0.75, "kl": 0.5, "val-core/gsm8k/acc/mean@1": 0.25, "bad": float("nan")}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("acc", 0.75),
        ("acc - 0.5 * kl", 0.5),
        ('2 * m["val-core/gsm8k/acc/mean@1"] + acc', 1.25),
        ("-(acc ** 2)", -0.5625),
        ("kl ** -1", 2.0),
        ("max(acc, kl, 0.1) / min(acc, kl)", 1.5),
        ("abs(kl - 1)", 0.5),
        ("log(kl + 0.5)", 0.0),
        ("  + acc  ", 0.75),
    ],
)
def test_a_formula_is_worked_out(text: str, value: float) -> None:
    assert parse(text).value(METRICS) == value


def test_it_names_its_metrics_once_each() -> None:
    assert parse('acc + m["val/loss"] * acc - log(kl)').metrics == ("acc", "val/loss", "kl")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "The formula is empty."),
        ("acc +", "This is no formula"),
        ("1 + 2", "names no metric"),
        ("__import__('os').system('true')", "may not be called"),
        ("open('x')", "“open” may not be called"),
        ("acc.real", "“acc.real” asks for an attribute"),
        ("acc.__class__", "asks for an attribute"),
        ("(lambda: acc)()", "may not be called"),
        ("[acc for acc in m]", "is not allowed in a formula"),
        ("acc if kl else 1", "is not allowed in a formula"),
        ("acc > kl", "is not allowed in a formula"),
        ("acc and kl", "is not allowed in a formula"),
        ("not acc", "is not allowed in a formula"),
        ("acc // kl", "is not allowed in a formula"),
        ("acc @ kl", "is not allowed in a formula"),
        ("(x := acc)", "is not allowed in a formula"),
        ('f"{acc}"', "is not allowed in a formula"),
        ("acc + True", "“True” is no number"),
        ("acc + 1j", "“1j” is no number"),
        ("acc + 'a'", "is no number"),
        ("acc ** 9", "The exponent “9” is too large; 8 is the most."),
        ("acc ** -9", "is too large"),
        ("acc ** kl", "The exponent “kl” is no plain number."),
        ("acc ** 2 ** 3", "is no plain number"),
        ("acc * 1e999", "A number in the formula is too large."),
        ("acc * 1" + "0" * 400, "A number in the formula is too large."),
        ("log(acc, 2)", "log takes one argument"),
        ("max(acc)", "max takes two arguments or more"),
        ("max(*acc)", "plain arguments only"),
        ("max(acc, kl, key=abs)", "plain arguments only"),
        ("log", '"log" stands alone'),
        ("m", '"m" stands alone'),
        ("m[acc]", "is no metric"),
        ("acc['a']", "is no metric"),
        ("m['a'][0]", "is no metric"),
        ("-" * 30 + "acc", "nested deeper than 20 levels"),
        ("(" * 240 + "acc" + ")" * 240, "This is no formula"),
        ("acc + " * 100 + "acc", "The formula has 603 characters; 500 are the most."),
        ("acc\0", "This is no formula"),
        ("~" + "-" * 400 + "acc", "nested deeper than 20 levels"),
        ('m["\\ud800"]', "a character that no name has"),
    ],
)
def test_what_is_not_allowed_is_refused(text: str, part: str) -> None:
    with pytest.raises(FormulaError, match=r".") as error:
        parse(text)
    assert part in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("reward + acc", "reward is not known at this step."),
        ("bad + acc", "bad is not known at this step."),
        ("acc / (kl - 0.5)", "The formula divides by zero here."),
        ("(kl - 0.5) ** -1", "The formula takes a logarithm or a power that does not exist here."),
        ("log(-acc)", "The formula takes a logarithm or a power that does not exist here."),
        ("(-acc) ** 0.5", "The formula takes a logarithm or a power that does not exist here."),
        ("(1e300 * acc) ** 8", "The formula comes to a number that is too large here."),
        ("1e300 * acc * 1e300", "The formula comes to no finite number here."),
        ("min(100, 1e300 * acc * 1e300)", "The formula comes to no finite number here."),
    ],
)
def test_a_value_that_is_not_there_is_said(text: str, sentence: str) -> None:
    with pytest.raises(UnknownValue) as error:
        parse(text).value(METRICS)
    assert str(error.value) == sentence
