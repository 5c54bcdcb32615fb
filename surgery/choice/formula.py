"""Weighted formulas over metrics: read by the parser of Python, worked out by a walk over what is
allowed. Nothing that a user wrote is ever run.

    m["val-core/acc"] - 0.5 * log(1 + kl)

A metric is a name, or ``m["…"]`` where its name has other characters.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

METRICS = "m"  # the name that metrics are asked of: m["val/loss"]
MOST_LETTERS = 500
MOST_LEVELS = 20
MOST_EXPONENT = 8.0
ALLOWED = "Allowed are numbers, metrics, + - * / **, and min, max, abs and log."

BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}
UNARY: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "min": min, "max": max, "abs": abs, "log": math.log,
}  # fmt: skip
OF_MANY = ("min", "max")  # these take two or more; the others take one


class FormulaError(Exception):
    """It is no formula. The message is a sentence for the user."""


class UnknownValue(Exception):
    """A formula has no value here. The message is a sentence that says why."""


@dataclass(frozen=True)
class Formula:
    """A formula that was read and allowed; ``metrics`` are those it asks for, each once."""

    text: str
    tree: ast.expr
    metrics: tuple[str, ...]

    def value(self, metrics: Mapping[str, float]) -> float:
        """What it comes to with these metrics. Always finite.

        Raises ``UnknownValue`` where a metric is missing, or the sum has no finite result.
        """
        try:
            found = _value(self.tree, metrics)
        except ZeroDivisionError:
            raise UnknownValue("The formula divides by zero here.") from None
        except OverflowError:
            raise UnknownValue("The formula comes to a number that is too large here.") from None
        except ValueError:
            raise UnknownValue(
                "The formula takes a logarithm or a power that does not exist here."
            ) from None
        return _finite(found)


def parse(text: str) -> Formula:
    """Read a formula. Raises ``FormulaError`` for anything that is not allowed in one."""
    if not text.strip():
        raise FormulaError("The formula is empty.")
    if len(text) > MOST_LETTERS:
        raise FormulaError(f"The formula has {len(text)} characters; {MOST_LETTERS} are the most.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        where = f" at character {error.offset}" if error.offset else ""
        raise FormulaError(f"This is no formula{where}: {error.msg}.") from None
    except (ValueError, RecursionError, MemoryError):
        raise FormulaError("This is no formula: it cannot be read.") from None
    names = tuple(dict.fromkeys(_checked(tree, 1)))
    if not names:
        raise FormulaError("The formula names no metric: every checkpoint would be worth the same.")
    return Formula(text.strip(), tree, names)


def _checked(node: ast.expr, level: int) -> Iterator[str]:
    """The metrics that are named below a node, all of which is allowed."""
    if level > MOST_LEVELS:
        raise FormulaError(f"The formula is nested deeper than {MOST_LEVELS} levels.")
    if isinstance(node, ast.Constant):
        _number(node)
    elif (name := _metric(node)) is not None:
        yield name
    else:
        for part in _parts(node):
            yield from _checked(part, level + 1)


def _number(node: ast.Constant) -> float:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise FormulaError(f"{_shown(node)} is no number. {ALLOWED}")
    try:
        found = float(node.value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise FormulaError("A number in the formula is too large.")
    return found


def _metric(node: ast.expr) -> str | None:
    """The metric that a node names, if it is one."""
    if isinstance(node, ast.Name):
        if node.id in FUNCTIONS or node.id == METRICS:
            raise FormulaError(
                f'"{node.id}" stands alone. A function is called, as log(x); a metric whose name '
                f'has other characters is written {METRICS}["val/loss"].'
            )
        return node.id
    if not isinstance(node, ast.Subscript):
        return None
    key = node.slice
    is_asked = isinstance(node.value, ast.Name) and node.value.id == METRICS
    if is_asked and isinstance(key, ast.Constant) and isinstance(key.value, str):
        if not key.value.isprintable():
            raise FormulaError("The name of a metric has a character that no name has.")
        return key.value
    raise FormulaError(f'{_shown(node)} is no metric. One is written {METRICS}["val/loss"].')


def _parts(node: ast.expr) -> list[ast.expr]:
    """What a sum or a call is made of. Refuses whatever else a formula might hold."""
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        if isinstance(node.op, ast.Pow):
            _check_exponent(node.right)
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and type(node.op) in UNARY:
        return [node.operand]
    if isinstance(node, ast.Call):
        return _arguments(node)
    if isinstance(node, ast.Attribute):
        raise FormulaError(f"{_shown(node)} asks for an attribute, which no metric has. {ALLOWED}")
    raise FormulaError(f"{_shown(node)} is not allowed in a formula. {ALLOWED}")


def _check_exponent(node: ast.expr) -> None:
    """An exponent is written as a number, so that its size is known before anything is computed."""
    sign = node.operand if isinstance(node, ast.UnaryOp) and type(node.op) in UNARY else node
    if not isinstance(sign, ast.Constant):
        raise FormulaError(f"The exponent {_shown(node)} is no plain number.")
    if _number(sign) > MOST_EXPONENT:
        raise FormulaError(
            f"The exponent {_shown(node)} is too large; {MOST_EXPONENT:g} is the most."
        )


def _arguments(node: ast.Call) -> list[ast.expr]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in FUNCTIONS:
        raise FormulaError(f"{_shown(node.func)} may not be called in a formula. {ALLOWED}")
    if node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
        raise FormulaError(f"{name} takes plain arguments only, as {name}(x).")
    if name in OF_MANY and len(node.args) < 2:
        raise FormulaError(f"{name} takes two arguments or more, as {name}(x, y).")
    if name not in OF_MANY and len(node.args) != 1:
        raise FormulaError(f"{name} takes one argument, as {name}(x).")
    return node.args


def _shown(node: ast.expr) -> str:
    try:
        text = ast.unparse(node)
    except RecursionError:
        raise FormulaError(f"The formula is nested deeper than {MOST_LEVELS} levels.") from None
    return f"“{text[:40]}…”" if len(text) > 40 else f"“{text}”"


def _finite(value: float) -> float:
    """A part that is not finite has no value: ``min`` and ``max`` would swallow it."""
    if not math.isfinite(value):
        raise UnknownValue("The formula comes to no finite number here.")
    return value


def _value(node: ast.expr, metrics: Mapping[str, float]) -> float:
    if isinstance(node, ast.BinOp):
        return _finite(
            BINARY[type(node.op)](_value(node.left, metrics), _value(node.right, metrics))
        )
    if isinstance(node, ast.UnaryOp):
        return UNARY[type(node.op)](_value(node.operand, metrics))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _finite(FUNCTIONS[node.func.id](*(_value(each, metrics) for each in node.args)))
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    name = _metric(node)
    found = metrics.get(name) if name is not None else None
    if found is None or not math.isfinite(found):
        raise UnknownValue(f"{name} is not known at this step.")
    return found
