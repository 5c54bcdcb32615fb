from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from surgery.conversions.forms import ConvertForm
from surgery.making.management.base import MakeCommand


class Command(MakeCommand):
    help = "Make a Hugging Face folder out of a checkpoint or a model, with what shall be another."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", help="the folder of a model or of a checkpoint")
        parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="")
        parser.add_argument("--shard-mib", type=int, metavar="N", help="the most of one file")
        parser.add_argument("--vocab", type=int, metavar="N", help="rows of the vocabulary")
        parser.add_argument("--layers", default="", help="in their new order, as 0-11,10-23")
        parser.add_argument("--quantize", choices=("W8A16", "W4A16"), default="")
        super().add_own_arguments(parser)

    def form(self, user: User, data: dict[str, Any], options: dict[str, Any]) -> ConvertForm:
        names = ("dtype", "shard_mib", "vocab", "layers", "quantize")
        given = {name: options[name] for name in names} | {"source_path": options["source"]}
        return ConvertForm(user, [], data | given)
