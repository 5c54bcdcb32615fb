"""Which function does the work of which model. An app says so when it is ready."""

DONE_BY: dict[str, str] = {}  # dotted paths by the model's label
IN_LINE: set[str] = set()  # labels of models whose work takes turns


def done_by(label: str, path: str, *, in_line: bool = False) -> None:
    """The work of a model is done by the function at this dotted path; it is given the row.

    ``in_line``: users decide how much there is to do, so a few are done at once, within a limit of
    memory, and the others wait.
    """
    DONE_BY[label] = path
    if in_line:
        IN_LINE.add(label)
