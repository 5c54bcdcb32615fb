"""Refuse a run before it costs anything."""


class Refused(Exception):
    """The settings or the data cannot be trained on; the message says how to correct them."""
