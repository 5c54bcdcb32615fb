"""The model families whose code this package knows, by their ``model_type``.

What their code fixes, and what it takes where ``config.json`` is silent, is taken from the
configuration and modelling code of transformers 5.10. A model type that is not listed here is
unknown: what its file does not state is then not assumed.
"""

from compute.sizing.families_dense import DENSE
from compute.sizing.families_mixed import MIXED
from compute.sizing.family import Family

FAMILIES: dict[str, Family] = {**DENSE, **MIXED}
