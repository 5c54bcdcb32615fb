"""All kinds of job of surgery, by their slugs."""

from collections.abc import Mapping

from jobs.kinds.base import JobKind
from surgery.kinds.average import Average
from surgery.kinds.compare import Compare
from surgery.kinds.convert import Convert
from surgery.kinds.lora import LoraExtract, LoraMerge
from surgery.kinds.merge import Merge

_ALL = (Merge(), Average(), LoraMerge(), LoraExtract(), Convert(), Compare())
KINDS: Mapping[str, JobKind] = {kind.slug: kind for kind in _ALL}
