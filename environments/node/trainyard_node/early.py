"""Imported by the processes of a run before verl: lets Python's garbage collector rest meanwhile.

An import of verl makes a million objects and next to no garbage. The collector would go through
them again and again, which takes a sixth of the whole time. Ray's workers import this module
because `RAY_preload_python_modules` names it. The plug-in, which verl loads last, calls `over`.
"""

import gc

USUAL = gc.get_threshold()
RARELY = (50_000, 20, 100)  # not never: not each process comes to import verl

gc.set_threshold(*RARELY)


def over() -> None:
    """The collector works as usual again, and leaves alone what is there by now."""
    gc.freeze()
    gc.set_threshold(*USUAL)
