"""The methods of merging by name, as a form and a check before the start need them.

Names, parameters and defaults are those of ``trainyard_node.merge.methods``, which does the work;
a test compares the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NEEDED, MAY, IGNORED = "needed", "may", "ignored"  # a base model
SHARED, OTHERS, ALL = "shared", "others", "all"  # whose parameter it is
RATIO = "ratio"  # of two models, in a sweep: how much the second counts, and the first as much less


@dataclass(frozen=True)
class Parameter:
    """``of`` is SHARED for one value of the recipe, OTHERS or ALL for one of each model (without
    the base, or with it). A usual value lies between ``low`` and ``high``."""

    name: str
    about: str
    default: float | int | bool | None = None
    of: str = SHARED
    required: bool = False
    kind: type = float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Method:
    """``least`` and ``most`` count the models beside the base; where a base is ignored, all."""

    name: str
    about: str
    base: str = NEEDED
    least: int = 1
    most: int | None = None
    parameters: Sequence[Parameter] = ()

    def parameter(self, name: str) -> Parameter | None:
        return next((each for each in self.parameters if each.name == name), None)


def flag(name: str, default: bool, about: str) -> Parameter:
    return Parameter(name, about, default, kind=bool)


WEIGHT_TEXT = "How much the model counts."
WEIGHT = Parameter("weight", WEIGHT_TEXT, of=OTHERS, required=True, low=-2, high=2)
WEIGHT_OF_ALL = Parameter("weight", WEIGHT_TEXT, of=ALL, required=True, low=-2, high=2)
T = Parameter(
    "t", "How far from the base to the other model.", required=True, low=0, high=1
)  # fmt: skip
NEAR = Parameter(
    "t", "How near values of the two models are, to be swapped.", required=True, low=0, high=1
)  # fmt: skip
GAMMA = Parameter("gamma", "Which share of the largest changes is left out.", 0.01, OTHERS,
                  low=0, high=1)  # fmt: skip
EPSILON = Parameter("epsilon", "How far the chance of being kept goes up and down with the size.",
                    0.15, OTHERS, low=0, high=1)  # fmt: skip
CHANGED = Parameter("epsilon", "From which size on a value counts as changed.", 1e-5, low=0, high=1)
NORMALIZE = "Divide by the sum of the weights."
MASK = "For mergekit's memory only: it changes nothing here."


def sparse(
    *, normalize: bool, rescale: bool, more: Sequence[Parameter] = ()
) -> Sequence[Parameter]:
    return (
        WEIGHT,
        Parameter("density", "Which share of the changes is kept.", 1.0, OTHERS, low=0, high=1),
        Parameter("lambda", "By how much the merged change is multiplied.", 1.0, low=0, high=2),
        flag("normalize", normalize, NORMALIZE),
        flag("rescale", rescale, "Scale up what is kept, for what is left out."),
        flag("int8_mask", False, MASK),
        *more,
    )


TASK = sparse(normalize=False, rescale=False)
DARE = sparse(normalize=False, rescale=True)
CRUMBS = sparse(normalize=False, rescale=False, more=[GAMMA])
METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("linear", "Weighted mean of the models.", IGNORED,
               parameters=(WEIGHT_OF_ALL, flag("normalize", True, NORMALIZE))),
        Method("slerp", "Along the arc between two models.", most=1, parameters=(T,)),
        Method("nuslerp", "Along the arc between two models, or between two changes of a base.",
               MAY, 2, 2,
               (WEIGHT, flag("nuslerp_row_wise", False, "Rows by themselves, not columns."),
                flag("nuslerp_flatten", True, "The whole tensor as one vector."))),
        Method("multislerp", "Weighted mean of directions on the sphere.", MAY,
               parameters=(WEIGHT, flag("normalize_weights", True, NORMALIZE),
                           Parameter("eps", "Below this length a vector has no direction.", 1e-8,
                                     low=0, high=1))),
        Method("karcher", "The middle of all models on the sphere.", IGNORED,
               parameters=(Parameter("max_iter", "At most so many rounds.", 10, kind=int, low=1,
                                     high=1000),
                           Parameter("tol", "A smaller move than this is the end.", 1e-5, low=0,
                                     high=1))),
        Method("task_arithmetic", "The base plus the weighted changes of the models.",
               parameters=TASK),
        Method("ties", "The largest changes, where the models agree in sign.",
               parameters=sparse(normalize=True, rescale=False)),
        Method("dare_linear", "Changes kept by chance and scaled up.", parameters=DARE),
        Method("dare_ties", "Changes kept by chance, where the models agree in sign.",
               parameters=DARE),
        Method("breadcrumbs", "Large changes without the largest.", parameters=CRUMBS),
        Method("breadcrumbs_ties", "Large changes without the largest, where the signs agree.",
               parameters=CRUMBS),
        Method("della", "Changes kept by chance and size, where the signs agree.",
               parameters=sparse(normalize=True, rescale=True, more=[EPSILON])),
        Method("della_linear", "Changes kept by chance, the large ones more often.",
               parameters=sparse(normalize=False, rescale=True, more=[EPSILON])),
        Method("model_stock", "The mean, nearer to the base the more the models disagree.",
               least=2,
               parameters=(flag("filter_wise", False, "Each row of a tensor by itself."),)),
        Method("sce", "Where the models differ most, weighted by their changes.",
               parameters=(Parameter("select_topk", "Which share of the places is kept.", 1.0,
                                     low=0, high=1), flag("int8_mask", False, MASK))),
        Method("ram", "What one model changed is kept, what several changed is averaged.",
               parameters=(CHANGED,)),
        Method("ramplus_tl", "As RAM, with a model's own changes grown.",
               parameters=(CHANGED,
                           Parameter("r", "By how much own changes grow.", 0.1, low=0, high=2),
                           Parameter("alpha", "How far they grow at most.", 0.2, low=0, high=2))),
        Method("nearswap", "The base, moved where the other model is near.", most=1,
               parameters=(NEAR,)),
        Method("arcee_fusion", "The other model's most important changes.", most=1),
        Method("passthrough", "Layers as they are, for stacking them.", IGNORED, most=1,
               parameters=(Parameter("scale", "By how much each value is multiplied.", None, ALL,
                                     low=-2, high=2),)),
    )
}  # fmt: skip
