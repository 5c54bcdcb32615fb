from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from platform_site.commands import FieldError
from surgery.adapters.forms import LoraExtractForm, LoraMergeForm
from surgery.making.forms import MakeForm
from surgery.making.management.base import MakeCommand

OF_MERGE, OF_EXTRACT = ("adapters", "weights", "dtype"), ("tuned", "rank", "energy", "keep")


class Command(MakeCommand):
    help = "Merge LoRA adapters into a model, or extract one out of a trained model, by a job."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("do", choices=("merge", "extract"))
        parser.add_argument("base", help="the folder of the base model")
        parser.add_argument("tuned", nargs="?", default="", help="extract: the trained model")
        parser.add_argument("--adapters", nargs="+", default=[], help="merge: their folders")
        parser.add_argument("--weights", nargs="+", default=[], help="merge: one for each adapter")
        parser.add_argument(
            "--dtype", choices=("float32", "bfloat16", "float16"), default="", help="merge"
        )
        parser.add_argument("--rank", type=int, help="extract: of each matrix")
        parser.add_argument("--energy", type=float, help="extract: the share of the change")
        parser.add_argument("--keep", action="store_true", help="extract: norms and embeddings too")
        super().add_own_arguments(parser)

    def form(self, user: User, data: dict[str, Any], options: dict[str, Any]) -> MakeForm:
        is_merge = options["do"] == "merge"
        for name in OF_EXTRACT if is_merge else OF_MERGE:
            if options[name]:
                other = "extract" if is_merge else "merge"
                raise FieldError(name, f"{name} goes with lora {other}.")
        data |= {"base_path": options["base"]}
        if is_merge:
            given = {
                "more_adapters": "\n".join(options["adapters"]),
                "weights": " ".join(options["weights"]),
                "dtype": options["dtype"],
            }
            return LoraMergeForm(user, [], [], data | given)
        names = ("rank", "energy", "keep")
        given = {name: options[name] for name in names} | {"tuned_path": options["tuned"]}
        return LoraExtractForm(user, [], data | given)
