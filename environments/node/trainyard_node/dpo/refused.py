"""What ends a run before it costs anything."""


class Refused(Exception):
    """The settings or the data cannot be trained on; the message says what would be right."""
