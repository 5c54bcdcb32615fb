"""Which function does the work of which model. An app says so when it is ready."""

DONE_BY: dict[str, str] = {}  # dotted paths by the model's label


def done_by(label: str, path: str) -> None:
    """The work of a model is done by the function at this dotted path; it is given the row."""
    DONE_BY[label] = path
