class MachineError(Exception):
    """It cannot be done. The message is a sentence, about the input ``field`` where it has one."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field
