"""What an export says when it cannot be done."""


class Refused(Exception):
    """The checkpoint is not exported; the message is a sentence for the user."""
