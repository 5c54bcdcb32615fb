from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import User

from compute.machines.local import local_machine
from jobs.models import Place
from surgery.conversions.layers import LayersError, read_layers
from surgery.kinds.convert import ConvertSpec
from surgery.kinds.steps import step_in
from surgery.making.checks import SurgeryError, config_of
from surgery.making.forms import MakeForm, Wrong, a_model, a_path, one_path

BY_PATH = "By its path, below"
MIB = 2**20
DTYPES = (
    ("", "As it is"), ("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "float16"),
)  # fmt: skip


# How weights are kept as whole numbers; the node's program has the same.
SCHEMES = (
    ("", "No"), ("W8A16", "8 bits, one scale for each row (W8A16)"),
    ("W4A16", "4 bits, one scale for each 128 numbers of a row (W4A16)"),
)  # fmt: skip


class ConvertForm(MakeForm):
    """What is converted, and what shall be another. An empty field leaves it as it is."""

    source = a_model("Model", "A model, or a checkpoint of verl, of which a Hugging Face folder is "
                     "made.")  # fmt: skip
    source_path = a_path("Model by path", "A folder of the machine.")
    dtype = forms.ChoiceField(choices=DTYPES, required=False, label="Type of the numbers")
    shard_mib = forms.IntegerField(
        min_value=1, max_value=2**20, required=False, label="Size of a file, MiB",
        help_text="The weights lie in files of at most this size, of which each has whole tensors.",
    )  # fmt: skip
    vocab = forms.IntegerField(
        min_value=1, max_value=10**8, required=False, label="Rows of the vocabulary",
        help_text="Rows are cut off, or added behind the others as the mean of these. No token may "
        "lose its row.",
    )  # fmt: skip
    layers = forms.CharField(
        max_length=5000, required=False, label="Layers",
        help_text="Those that stay, in their new order, such as 0-11, 10-23. Layers may stand "
        "there twice or not at all.",
    )  # fmt: skip

    quantize = forms.ChoiceField(
        choices=SCHEMES, required=False, label="Quantised",
        help_text="Matrices of layers become whole numbers, each rounded to the nearest, for use "
        "with vLLM or transformers; no surgery takes such a model as an input. The machine's "
        "Python needs the package compressed-tensors.",
    )  # fmt: skip

    def __init__(self, user: User, places: Sequence[Place], data: Any = None, **more: Any) -> None:
        super().__init__(user, data, **more)
        self.offer("source", places, none=BY_PATH)

    def asked(self, given: dict[str, Any]) -> ConvertSpec:
        source = one_path(given, "source")
        layers = _layers(given["layers"])
        size = (given["shard_mib"] or 0) * MIB
        spec = ConvertSpec(
            source, given["dtype"], size, given["vocab"] or 0, layers, given["quantize"]
        )
        if step_in(source) is None and len(spec.to_node()) == 1:
            raise Wrong("dtype", "Nothing would be another: fill in one of the fields below the "
                        "model.")  # fmt: skip
        return spec

    def check_inputs(self, given: dict[str, Any]) -> None:
        shown = "source" if given["source"] else "source_path"
        self.check_models(shown, [self.spec.source], given["machine"])
        if given["machine"].pk != local_machine().pk:
            return
        try:
            count = config_of(self.spec.source).get("num_hidden_layers")
        except SurgeryError as error:
            raise Wrong(shown, str(error)) from error
        highest = max(self.spec.layers or [0])
        if isinstance(count, int) and highest >= count:
            raise Wrong("layers", f"The model has {count} layers, counted from 0: there is no "
                        f"layer {highest}.")  # fmt: skip

    def default_name(self) -> str:
        return f"{self.called(self.spec.source)} converted"


def _layers(text: str) -> list[int] | None:
    """None where they stay as they are. Raises ``Wrong``."""
    try:
        return read_layers(text) or None
    except LayersError as error:
        raise Wrong("layers", str(error)) from error
