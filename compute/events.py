"""The kinds of events that happen to a machine."""

from functools import partial

from platform_site.events import Severity, register

MACHINE = "machine"
_note = partial(register, source=MACHINE, severity=Severity.INFO)
_warning = partial(register, source=MACHINE, severity=Severity.WARNING)
_error = partial(register, source=MACHINE, severity=Severity.ERROR)

ADDED = _note("added", words="Added")
CHANGED = _note("changed", words="Changed")
REMOVED = _note("removed", words="Removed")
KEY_CONFIRMED = _note("key confirmed", words="Host key confirmed")
KEY_NOT_CONFIRMED = _warning("key not confirmed", words="Host key not confirmed")
CHECKED = _note("checked", words="Checked")

SET_UP_ASKED = _note("set-up asked", words="Set-up asked for")
# The end of a set-up, by the state that it comes into.
SET_UP_ENDED = {
    "done": _note("set-up done", words="Set up"),
    "failed": _error("set-up failed", words="Set-up failed"),
    "cancelled": _note("set-up cancelled", words="Set-up cancelled"),
}

UNREACHABLE = _warning("unreachable", words="Does not answer")
KEY_REFUSED = _error("key refused", words="Shows another host key")
BACK = _note("back", words="Answers again")
UNSTEADY = _warning("unsteady", words="Comes and goes")

RENTAL_SET = _note("rental set", words="End of the rental set")
RENTAL_NEAR = _warning("rental near", words="The rental ends soon")
RENTAL_OVER = _error("rental over", words="The rental ended")

PRICE_SET = _note("price set", words="Price set")
