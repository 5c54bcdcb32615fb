"""All kinds of job of surgery, by their slugs."""

from collections.abc import Mapping

from jobs.kinds.base import JobKind
from surgery.kinds.average import Average
from surgery.kinds.compare import Compare
from surgery.kinds.lora import LoraExtract, LoraMerge
from surgery.kinds.merge import Merge

KINDS: Mapping[str, JobKind] = {
    kind.slug: kind for kind in (Merge(), Average(), LoraMerge(), LoraExtract(), Compare())
}
