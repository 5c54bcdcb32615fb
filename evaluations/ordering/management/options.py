"""The options that say how is evaluated: they fill the fields of the form."""

from argparse import ArgumentParser
from typing import Any

from evaluations.kinds.evaluate import BACKENDS, WAYS

# By the option's name, the field; those of one name are not listed.
FIELDS = {"on": "dataset", "reward": "reward_file"}
PLAIN = (
    "way", "part", "limit", "reward_name", "reward_kwargs", "samples", "temperature", "top_p",
    "top_k", "seed", "max_prompt_tokens", "max_new_tokens", "few_shot", "backend", "dtype", "gpus",
    "batch_size", "template",
)  # fmt: skip


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--on", default="", metavar="VERSION", help="a data set's: name@3, or name")
    parser.add_argument("--part", choices=("val", "train"), default="val")
    parser.add_argument("--way", choices=WAYS, default="answers")
    parser.add_argument("--limit", type=int, help="only the first so many rows")
    parser.add_argument("--reward", default="", metavar="FILE", help="scores the answers")
    parser.add_argument("--reward-name", default="", help="the function in it")
    parser.add_argument("--reward-kwargs", default="", metavar="JSON", help="its arguments")
    for name in ("samples", "top-k", "seed", "max-prompt-tokens", "max-new-tokens", "few-shot",
                 "gpus", "batch-size"):  # fmt: skip
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--temperature", type=float, help="0 is greedy (default)")
    parser.add_argument("--top-p", type=float)
    parser.add_argument("--template", default="", metavar="JINJA", help="a chat template")
    parser.add_argument("--tasks", nargs="+", default=[], help="with the way tasks: of lm-eval")
    parser.add_argument("--task-files", nargs="+", default=[], metavar="YAML", help="own tasks")
    parser.add_argument("--backend", choices=BACKENDS, default="auto")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="")


def filled(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of the form as the options have them."""
    given = {name: options[name] for name in PLAIN if options[name] is not None}
    given |= {field: options[name] for name, field in FIELDS.items()}
    return given | {
        "tasks": " ".join(options["tasks"]), "task_files": "\n".join(options["task_files"]),
    }  # fmt: skip
