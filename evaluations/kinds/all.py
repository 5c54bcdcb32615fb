"""All kinds of job of evaluations, by their slugs."""

from collections.abc import Mapping

from evaluations.kinds.evaluate import Evaluate
from jobs.kinds.base import JobKind

_ALL = (Evaluate(),)
KINDS: Mapping[str, JobKind] = {kind.slug: kind for kind in _ALL}
