"""The colour of a run, the same on every page."""

COLOURS = 24  # tokens of static/css/tokens.css
DASHES = 3


def colour_of(number: int) -> int:
    """The number of the colour of a job's number, or of a group's. Runs that were made one after
    the other get colours that are far apart."""
    return number * 7 % COLOURS + 1


def dash_of(number: int) -> int:
    """How the line of a job is dashed: those of the same colour differ by it."""
    return number // COLOURS % DASHES
