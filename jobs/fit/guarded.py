"""An estimate that fails in a way nobody foresaw is told in a sentence; the log has the rest."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.fit.services import NotKnown, QuestionError
from platform_site.bounded.limits import TooMuch

FAILED = "The estimate failed. The log says why."
log = logging.getLogger(__name__)


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Raises ``NotKnown`` for each error that is none of an estimate's own; ``what`` names for the
    log what failed."""
    try:
        yield
    except (NotKnown, QuestionError, TooMuch):
        raise
    except Exception:
        log.exception("%s failed", what)
        raise NotKnown(FAILED) from None
