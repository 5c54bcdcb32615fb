"""What the calculator is asked: a model, a kind of training, cards, lengths and settings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.http import QueryDict
from django.urls import reverse

from compute.prices.table import PriceTable, price_table
from compute.sizing.config_file import ConfigError
from compute.sizing.estimate import estimate
from compute.sizing.facts import ModelFacts
from compute.sizing.gpus import Gpu, catalogue
from compute.sizing.models import known_models
from compute.sizing.question import Lengths, Question
from jobs.calculator import carried
from jobs.fit.guarded import guarded
from jobs.fit.learned import cards_taught, correction_for
from jobs.fit.ledger import Ledger, ledger_of
from jobs.fit.services import NotKnown, QuestionError, price_of
from jobs.fit.sources import facts_of
from jobs.order.knob_fields import figure, knob_field
from jobs.verl.algorithms import has_answers, labels
from jobs.verl.knobs import BY_NAME
from jobs.verl.question import MOST_GPUS, question_of
from jobs.verl.spec import TrainSpec, Value
from platform_site.paths import allowed, why_closed

NODE = 8  # GPUs of a machine
DEAREST = 1_000_000
FIRST = ("model", "algorithm", "gpu", "gpus", "per_node", "price")
LENGTHS = (
    "max_length", "max_prompt_length", "max_response_length", "mean_prompt", "mean_answer",
    "train_batch_size", "rollout_n", "mini_batch_size", "steps",
)  # fmt: skip
MEMORY = (
    "lora_rank", "strategy", "remove_padding", "dynamic_batch", "max_tokens_per_gpu",
    "micro_batch_size", "log_prob_micro_batch_size", "gradient_checkpointing", "param_offload",
    "optimizer_offload", "activation_offload", "sequence_parallel", "use_kl_loss",
)  # fmt: skip
ROLLOUT = ("engine", "tensor_parallel", "gpu_memory", "max_num_seqs", "free_cache")
GROUPS = {"What": FIRST, "Lengths and batches": LENGTHS, "Memory": MEMORY, "Rollout": ROLLOUT}
KNOBS = tuple(name for name in (*LENGTHS, *MEMORY, *ROLLOUT) if name in BY_NAME)
START: Mapping[str, str] = {
    "model": "qwen3-8b", "algorithm": "grpo", "gpu": "h100-80g", "gpus": "8", "per_node": "8",
    "max_length": "4096", "max_prompt_length": "1024", "max_response_length": "4096",
    "train_batch_size": "256", "rollout_n": "8", "mini_batch_size": "64", "lora_rank": "0",
    "strategy": "fsdp2", "remove_padding": "true", "dynamic_batch": "true",
    "max_tokens_per_gpu": "16384", "gradient_checkpointing": "true", "param_offload": "false",
    "optimizer_offload": "false", "sequence_parallel": "1", "engine": "vllm",
    "tensor_parallel": "1", "gpu_memory": "0.5", "max_num_seqs": "256",
}  # fmt: skip
# By which a slider goes: in doublings, or evenly.
SLIDERS: Mapping[str, tuple[str, float, float, float]] = {
    "gpus": ("double", 1, 1024, 1), "max_length": ("double", 256, 131072, 1),
    "max_prompt_length": ("double", 128, 131072, 1),
    "max_response_length": ("double", 128, 131072, 1),
    "train_batch_size": ("double", 8, 4096, 1), "rollout_n": ("double", 1, 64, 1),
    "mini_batch_size": ("double", 8, 4096, 1), "lora_rank": ("even", 0, 256, 8),
    "max_tokens_per_gpu": ("double", 1024, 131072, 1), "micro_batch_size": ("double", 1, 64, 1),
    "sequence_parallel": ("double", 1, 8, 1), "tensor_parallel": ("double", 1, 8, 1),
    "gpu_memory": ("even", 0.1, 0.95, 0.05), "max_num_seqs": ("double", 16, 2048, 1),
}  # fmt: skip
# Another algorithm has other fields.
WHOLE = {
    "hx-trigger": "input consume", "hx-target": "#calculator", "hx-swap": "outerHTML",
    "hx-include": "closest form", "hx-replace-url": "true",
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    title: str
    fields: list[forms.BoundField]


class CalculatorForm(forms.Form):
    """Bound to what an address says, and to where the calculator starts for the rest."""

    model = forms.CharField(
        max_length=1000, label="Model",
        help_text="Of the catalogue, a name of the hub, or a folder of this machine.",
        widget=forms.TextInput({"list": "models", "spellcheck": "false", "autocomplete": "off"}),
    )  # fmt: skip
    config = forms.CharField(required=False, max_length=carried.LONGEST, widget=forms.HiddenInput)
    algorithm = forms.ChoiceField(label="Algorithm", choices=list(labels().items()))
    gpu = forms.ChoiceField(label="GPU")
    gpus = forms.IntegerField(
        label="GPUs", min_value=1, max_value=MOST_GPUS, widget=figure("numeric"),
        error_messages={"min_value": "Training needs one GPU or more."},
        help_text="In all.",
    )  # fmt: skip
    per_node = forms.IntegerField(
        label="GPUs of a machine", min_value=1, max_value=MOST_GPUS, required=False,
        widget=figure("numeric"), help_text="More of them talk over the network.",
    )  # fmt: skip
    price = forms.FloatField(
        label="Price of a GPU", required=False, min_value=0, max_value=DEAREST,
        widget=figure("decimal"), help_text="For an hour. Empty: as the price table says.",
        error_messages={"min_value": "A price is not negative."},
    )  # fmt: skip
    mean_prompt = forms.IntegerField(
        label="Mean prompt", required=False, min_value=1, widget=figure("numeric"),
        help_text="In tokens; of SFT and DPO the mean row. Empty: half of the longest.",
    )  # fmt: skip
    mean_answer = forms.IntegerField(
        label="Mean answer", required=False, min_value=1, widget=figure("numeric"),
        help_text="In tokens. Empty: half of the longest.",
    )  # fmt: skip

    def __init__(self, asked: QueryDict, user: User) -> None:
        self.user = user
        given = {name: asked[name] for name in asked}
        super().__init__({**START, **given})
        kind = str(self.data["algorithm"])
        self.kind = kind if kind in labels() else START["algorithm"]
        self.fields["gpu"] = forms.ChoiceField(label="GPU", choices=[*_cards()])
        for name in KNOBS:
            knob = BY_NAME[name]
            if self.kind in knob.keys:
                self.fields[name] = knob_field(knob, self.kind, START.get(name))
                self.fields[name].required = False
        if not has_answers(self.kind):
            del self.fields["mean_answer"]
        self.fields["algorithm"].widget.attrs |= WHOLE | {"hx-get": reverse("calculator:page")}
        for name, (scale, low, high, step) in SLIDERS.items():
            if name in self.fields:
                self.fields[name].widget.attrs |= {
                    "data-slider": scale, "data-low": low, "data-high": high, "data-step": step,
                }  # fmt: skip

    @property
    def groups(self) -> Iterable[Group]:
        for title, names in GROUPS.items():
            fields = [self[name] for name in names if name in self.fields]
            if fields:
                yield Group(title, fields)

    def clean_config(self) -> ModelFacts | None:
        text: str = self.cleaned_data["config"]
        try:
            return carried.unpack(text) if text else None
        except ConfigError as error:
            self.add_error("model", str(error))
            return None

    def clean_model(self) -> str:
        text: str = self.cleaned_data["model"]
        real = allowed(text)
        if real and (said := why_closed(real, self.user)):
            raise forms.ValidationError(said.format(text))
        return text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self._check_means(cleaned)
        if not self.errors:
            try:
                with guarded("The question of the calculator"):
                    self.facts = cleaned["config"] or facts_of(cleaned["model"], "model")
                    self.question = self.asked_on(catalogue()[cleaned["gpu"]], cleaned["gpus"])
            except (NotKnown, QuestionError) as error:
                self.add_error(error.field if error.field in self.fields else None, str(error))
        return cleaned

    def _check_means(self, cleaned: dict[str, Any]) -> None:
        for name, longest in zip(("prompt", "answer"), self._longest(), strict=True):
            mean = cleaned.get(f"mean_{name}")
            if mean and longest and mean > longest:
                said = f"The mean is above the longest of {longest:,} tokens."
                self.add_error(f"mean_{name}", said)

    facts: ModelFacts
    question: Question

    def asked_on(self, gpu: Gpu, gpus: int) -> Question:
        """The question on so many of a card. Raises ``QuestionError``."""
        spec = TrainSpec(self.kind, self.values | {"gpus": gpus, "device": "cuda"})
        per_node = self.cleaned_data.get("per_node") or NODE
        return question_of(
            spec, self.facts, gpu, gpus=gpus, per_node=per_node, lengths=self.lengths
        )

    @property
    def values(self) -> dict[str, Value]:
        """Of the knobs that are set."""
        found = {name: self.cleaned_data.get(name) for name in KNOBS}
        return {name: value for name, value in found.items() if value not in (None, "")}

    @property
    def lengths(self) -> Lengths | None:
        """None where no mean is told: the estimate then says what it assumes."""
        prompt, answer = (self.cleaned_data.get(f"mean_{name}") for name in ("prompt", "answer"))
        if not prompt and not answer:
            return None
        longest_prompt, longest_answer = self._longest()
        is_told = prompt and (answer or not has_answers(self.kind))
        return Lengths(
            prompt or longest_prompt / 2, longest_prompt, answer or longest_answer / 2,
            longest_answer, "data" if is_told else "assumed",
        )  # fmt: skip

    def _longest(self) -> tuple[int, int]:
        found = self.values
        if not has_answers(self.kind):
            return int(found.get("max_length") or 1024), 0
        prompt, answer = (found.get(f"max_{name}_length") for name in ("prompt", "response"))
        return int(prompt or 512), int(answer or 512)

    def price_of(self, gpu: Gpu) -> float | None:
        given: float | None = self.cleaned_data.get("price")
        return price_of(gpu, table=self.prices) if given is None else given

    @cached_property
    def prices(self) -> PriceTable:
        return price_table()

    @cached_property
    def taught(self) -> frozenset[str]:
        """The cards of which finished runs of such a model taught something, by their slug."""
        return cards_taught(self.facts.model_type)

    def ledger(self) -> Ledger | None:
        """Of a valid form, which it makes invalid where the estimate fails."""
        question = self.question
        price = self.price_of(question.gpu)
        try:
            with guarded("The estimate of the calculator"):
                found = estimate(question, price, correction_for(question))
                return ledger_of(found, question.gpu, price)
        except NotKnown as error:
            self.add_error(None, str(error))
            return None


def _cards() -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """By their makers."""
    cards = catalogue().values()
    for maker in dict.fromkeys(card.maker for card in cards):
        yield maker, [(card.slug, card.name) for card in cards if card.maker == maker]


def models() -> list[tuple[str, str]]:
    return [(slug, model.name) for slug, model in known_models().items()]
