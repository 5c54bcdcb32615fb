"""The fields of the form of an evaluation, by the way that it evaluates."""

from typing import Any

from django import forms

from datasets.models import Version
from evaluations.kinds.evaluate import ANSWERS, BACKENDS, LOSS, TASKS
from jobs.order.choice_fields import VersionField
from jobs.rewards.json_field import JsonField
from surgery.making.forms import LONGEST_LIST, lines_of_paths, several_models

MOST = 64  # models of one order
MOST_SAMPLES = 256
LONGEST_TEMPLATE = 50_000  # characters
WAYS = {
    ANSWERS: "Answers, scored by a reward function",
    LOSS: "Loss and perplexity on texts",
    TASKS: "Tasks of lm-eval",
}
PARTS = {"val": "Its validation part", "train": "Its training part"}
DTYPES = (("", "That of the model"), ("float32", "float32"), ("bfloat16", "bfloat16"),
          ("float16", "float16"))  # fmt: skip
OF_ROWS = ("dataset", "part", "limit")
OF_ANSWERS = (
    "reward_file", "reward_name", "reward_kwargs", "samples", "temperature", "top_p", "top_k",
    "seed", "max_prompt_tokens", "max_new_tokens",
)  # fmt: skip
OF_TASKS = ("tasks", "task_files", "few_shot")
OF_RUN = ("template", "backend", "dtype", "gpus", "batch_size")


class AnyVersion(VersionField):
    """A version of any shape: which one fits is said by the way."""

    def __init__(self) -> None:
        super().__init__("")
        self.queryset = Version.objects.ready().select_related("dataset").newest_first()
        self.label, self.empty_label = "Data set", "None"
        self.help_text = "A version, as name@3; a name alone is its newest one."


def count(label: str, help_text: str = "", least: int = 1, most: int = 2**31 - 1) -> Any:
    return forms.IntegerField(
        required=False, min_value=least, max_value=most, label=label, help_text=help_text
    )


class EvaluateFields(forms.Form):
    """All fields of all ways. What has no value is as usual."""

    models = several_models("Checkpoints and models of your jobs; Ctrl or Cmd chooses several. "
                            "Each gets a job of its own.")  # fmt: skip
    more_models = lines_of_paths("Models by path or name")
    adapter = forms.CharField(
        max_length=1000, required=False, label="Adapter",
        help_text="A folder of the machine with an adapter that lies on the model. Of one model.",
    )  # fmt: skip
    way = forms.ChoiceField(choices=list(WAYS.items()), label="Evaluate by")
    dataset = AnyVersion()
    part = forms.ChoiceField(choices=list(PARTS.items()), required=False, label="Part of it")
    limit = count("First rows", "Only so many; without a number, all.")
    reward_file = forms.CharField(
        max_length=1000, required=False, label="Reward function",
        help_text="A Python file on this machine. Without one, verl's own scores each row by its "
        "data source.",
    )  # fmt: skip
    reward_name = forms.CharField(
        max_length=200, required=False, label="Name of the function",
        help_text="Usual: compute_score.",
    )  # fmt: skip
    reward_kwargs = JsonField(
        required=False, initial=dict, label="Its arguments",
        help_text='A JSON object, such as {"strict": 1}.', widget=forms.TextInput,
    )  # fmt: skip
    samples = count("Answers to each prompt", "More than 1 needs a temperature.", 1, MOST_SAMPLES)
    temperature = forms.FloatField(
        required=False, min_value=0, max_value=100, label="Temperature",
        help_text="0 is greedy: the likeliest token, always.",
    )  # fmt: skip
    top_p = forms.FloatField(required=False, min_value=1e-6, max_value=1, label="Top p")
    top_k = count("Top k", "-1 is all tokens.", -1)
    seed = count("Seed", least=0)
    max_prompt_tokens = count("Longest prompt", "Tokens. Longer ones are left out, and counted.")
    max_new_tokens = count("Longest answer", "Tokens.")
    tasks = forms.CharField(
        max_length=5000, required=False, label="Tasks",
        help_text="Names of lm-eval, such as arc_easy hellaswag.",
    )  # fmt: skip
    task_files = forms.CharField(
        max_length=LONGEST_LIST, required=False, label="Task files",
        help_text="Task files of lm-eval (YAML) on this machine, one on each line.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )  # fmt: skip
    few_shot = count("Examples in a prompt", "Without a number, as each task says.", 0, 1000)
    template = forms.CharField(
        max_length=LONGEST_TEMPLATE, required=False, label="Chat template",
        help_text="Jinja, in place of the tokenizer's own.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )  # fmt: skip
    backend = forms.ChoiceField(
        choices=[(name, name) for name in BACKENDS], required=False, label="Engine",
        help_text="auto: vLLM or SGLang where they and a GPU are, else transformers.",
    )  # fmt: skip
    dtype = forms.ChoiceField(choices=DTYPES, required=False, label="Type of the numbers")
    gpus = count("GPUs", "0 is the CPU.", 0, 64)
    batch_size = count("Prompts at a time", "0: as many as fit.", 0, 100_000)
