"""The methods of merging by name: how many models each takes, its parameters, and its rule.

Names, parameters and defaults are those of mergekit 0.1.5, whose recipes are read as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainyard_node.merge.rules import elementwise, selecting, sphere, task
from trainyard_node.merge.rules.base import Rule, Values

NEEDED, MAY, IGNORED = "needed", "may", "ignored"  # a base model
SHARED, OTHERS, ALL = "shared", "others", "all"  # whose parameter it is


@dataclass(frozen=True)
class Parameter:
    """`of` is SHARED for one value a tensor, OTHERS or ALL for one of each input (without the
    base, or with it). A default of None where `required` says that there is none."""

    name: str
    default: float | bool | None = None
    of: str = SHARED
    required: bool = False
    kind: type = float


@dataclass(frozen=True)
class Method:
    """`least` and `most` count the models beside the base; of a method that ignores the base, all.

    `exact` is False where chance decides, by the recipe's seed.
    """

    name: str
    about: str
    rule: Callable[[Values], Rule]
    base: str = NEEDED
    least: int = 1
    most: int | None = None
    parameters: Sequence[Parameter] = ()
    exact: bool = True

    def parameter(self, name: str) -> Parameter | None:
        return next((each for each in self.parameters if each.name == name), None)


WEIGHT = Parameter("weight", of=OTHERS, required=True)
T = Parameter("t", required=True)


def flag(name: str, default: bool) -> Parameter:
    return Parameter(name, default, kind=bool)


def sparse(*, normalize: bool, rescale: bool, more: Sequence[Parameter] = ()) -> list[Parameter]:
    return [
        WEIGHT,
        Parameter("density", 1.0, OTHERS),
        Parameter("lambda", 1.0),
        flag("normalize", normalize),
        flag("rescale", rescale),
        flag("int8_mask", False),  # of memory only, and there is no mask to be kept
        *more,
    ]


def nuslerp(values: Values) -> Rule:
    return (sphere.NuSlerp if values["nuslerp_flatten"] else sphere.NuSlerpByLines)(values)


def multislerp(values: Values) -> Rule:
    return (sphere.MultiSlerp if len(values["weight"]) > 1 else sphere.OneAlone)(values)


def model_stock(values: Values) -> Rule:
    return (sphere.ModelStockByRows if values["filter_wise"] else sphere.ModelStock)(values)


GAMMA = Parameter("gamma", 0.01, OTHERS)
EPSILON = Parameter("epsilon", 0.15, OTHERS)
CHANGED = Parameter("epsilon", 1e-5)
METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("linear", "Weighted mean of the models.", elementwise.Linear, IGNORED,
               parameters=[Parameter("weight", of=ALL, required=True), flag("normalize", True)]),
        Method("slerp", "Along the arc between two models.", sphere.Slerp, most=1,
               parameters=[T]),
        Method("nuslerp", "Along the arc between two models, or between two changes of a base.",
               nuslerp, MAY, 2, 2,
               [WEIGHT, flag("nuslerp_row_wise", False), flag("nuslerp_flatten", True)]),
        Method("multislerp", "Weighted mean of directions on the sphere.", multislerp, MAY,
               parameters=[WEIGHT, flag("normalize_weights", True), Parameter("eps", 1e-8)]),
        Method("karcher", "The middle of all models on the sphere.", sphere.Karcher, IGNORED,
               parameters=[Parameter("max_iter", 10, kind=int), Parameter("tol", 1e-5)]),
        Method("task_arithmetic", "The base plus the weighted changes of the models.",
               task.TaskArithmetic, parameters=sparse(normalize=False, rescale=False)),
        Method("ties", "The largest changes, where the models agree in sign.", task.Ties,
               parameters=sparse(normalize=True, rescale=False)),
        Method("dare_linear", "Changes kept by chance and scaled up.", task.DareLinear,
               parameters=sparse(normalize=False, rescale=True), exact=False),
        Method("dare_ties", "Changes kept by chance, where the models agree in sign.",
               task.DareTies, parameters=sparse(normalize=False, rescale=True), exact=False),
        Method("breadcrumbs", "Large changes without the largest.", task.Breadcrumbs,
               parameters=sparse(normalize=False, rescale=False, more=[GAMMA])),
        Method("breadcrumbs_ties", "Large changes without the largest, where the signs agree.",
               task.BreadcrumbsTies,
               parameters=sparse(normalize=False, rescale=False, more=[GAMMA])),
        Method("della", "Changes kept by chance and size, where the signs agree.", task.Della,
               parameters=sparse(normalize=True, rescale=True, more=[EPSILON]), exact=False),
        Method("della_linear", "Changes kept by chance, the large ones more often.",
               task.DellaLinear,
               parameters=sparse(normalize=False, rescale=True, more=[EPSILON]), exact=False),
        Method("model_stock", "The mean, nearer to the base the more the models disagree.",
               model_stock, least=2, parameters=[flag("filter_wise", False)]),
        Method("sce", "Where the models differ most, weighted by their changes.", selecting.Sce,
               parameters=[Parameter("select_topk", 1.0), flag("int8_mask", False)]),
        Method("ram", "What one model changed is kept, what several changed is averaged.",
               elementwise.Ram, parameters=[CHANGED]),
        Method("ramplus_tl", "As RAM, with a model's own changes grown.", elementwise.RamPlus,
               parameters=[CHANGED, Parameter("r", 0.1), Parameter("alpha", 0.2)]),
        Method("nearswap", "The base, moved where the other model is near.",
               elementwise.Nearswap, most=1, parameters=[T]),
        Method("arcee_fusion", "The other model's most important changes.",
               selecting.ArceeFusion, most=1),
        Method("passthrough", "Layers as they are, for stacking them.", elementwise.Passthrough,
               IGNORED, most=1, parameters=[Parameter("scale", None, ALL)]),
    )
}  # fmt: skip
