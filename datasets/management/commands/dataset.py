import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from datasets import services, working
from datasets.formats.check import CODES
from datasets.formats.encodings import ENCODINGS, UTF8
from datasets.formats.splitting import Split
from datasets.mapping.proposals import columns_of, propose
from datasets.mapping.shown import columns_json, columns_text
from datasets.models import Dataset, Source, Version
from datasets.services import DatasetError
from datasets.versions import shown
from platform_site.commands import FieldError, JsonCommand
from platform_site.work.models import BUSY, State, Work

LOOK_EVERY = 0.5


class Command(JsonCommand):
    help = "Import data, compile it for a trainer, check and clean it. Waits for the result."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_verbs(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"do_{options['verb']}")(options)
        except (DatasetError, ValueError) as error:
            raise CommandError(str(error)) from None

    def do_import(self, options: dict[str, Any]) -> None:
        known = Dataset.objects.filter(name=options["name"]).first()
        dataset = known or services.create(options["name"], owner())
        add = services.import_path if Path(options["file"]).is_absolute() else services.import_hub
        try:
            source = add(dataset, options["file"], owner(), options["encoding"])
            self.finish(source)
        except (DatasetError, CommandError):
            if known is None:  # the new data set is empty
                services.delete(dataset)
            raise
        self.show(options, shown.source_json(source), shown.source_text(source))

    def do_columns(self, options: dict[str, Any]) -> None:
        source = find_source(options["name"])
        found = columns_of(source)
        self.show(options, columns_json(found), columns_text(found))

    def do_compile(self, options: dict[str, Any]) -> None:
        source = find_source(options["name"])
        mapping = propose(
            source,
            options["shape"],
            options["target"],
            pairs(options["map"]),
            pairs(options["option"]),
        )
        split = Split(validation=share(options["val"]), seed=options["seed"])
        version = services.compile_version(source, mapping, split, owner())
        self.finish(version)
        self.show(options, shown.version_json(version), shown.version_text(version))

    def do_check(self, options: dict[str, Any]) -> None:
        version = named(options)
        report = services.check(version, options["model"], options["max_length"], owner())
        self.finish(report)
        counts = report.data["counts"]
        lines = [f"{CODES[code].label}: {count}" for code, count in counts.items() if count]
        lines = lines or ["Nothing was found."]
        if not options["model"]:
            lines.append("No chat template was tried: name a model with --model.")
        self.show(options, report.data, "\n".join(lines))

    def do_clean(self, options: dict[str, Any]) -> None:
        unknown = set(options["drop"]) - set(CODES)
        if unknown:
            told = f"No such fault: {', '.join(unknown)}. Known: {', '.join(CODES)}."
            raise FieldError("drop", told)
        found = named(options)
        asked = options["model"], options["max_length"]
        version = services.clean(found, options["drop"], owner(), *asked)
        self.finish(version)
        self.show(options, shown.version_json(version), shown.version_text(version))

    def do_list(self, options: dict[str, Any]) -> None:
        versions = Version.objects.select_related("dataset").newest_first()
        data = [shown.version_json(version) for version in versions]
        self.show(options, data, "\n".join(map(shown.version_line, versions)))

    def do_show(self, options: dict[str, Any]) -> None:
        version = named(options)
        data = shown.version_json(version)
        width = max(map(len, data))
        text = "\n".join(f"{name:<{width}}  {value}" for name, value in data.items())
        self.show(options, data, text)

    def finish(self, work: Work) -> None:
        """Do the work here, unless a worker has taken it: then wait for that one."""
        if not working.work_off(work):
            self.wait(work)
        work.refresh_from_db()
        if work.state != State.DONE:
            raise CommandError(work.error or f"It is {work.get_state_display().lower()}.")

    def wait(self, work: Work) -> None:
        work.refresh_from_db()
        while work.state in BUSY:
            if work.is_silent:
                raise CommandError("Its worker gives no sign of life: try again.")
            if work.percent is not None:
                self.stderr.write(f"{work.percent:.0f} %")
            time.sleep(LOOK_EVERY)
            work.refresh_from_db()


def add_verbs(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("import", help="import a file, or owner/name of the Hugging Face hub")
    verb.add_argument("file", help="a whole path, or a hub name")
    verb.add_argument("--name", required=True, help="the data set to make, or to add to")
    verb.add_argument("--encoding", default=UTF8, choices=list(ENCODINGS), help="of JSON and CSV")
    verb = verbs.add_parser("columns", help="show the columns of the newest source, its first rows")
    verb.add_argument("name")
    verb = verbs.add_parser("compile", help="make a version from the newest source")
    verb.add_argument("name")
    verb.add_argument("--shape", default="", help="default: the one that fits best")
    verb.add_argument("--target", default="", choices=["", "sft", "rl", "dpo"])
    verb.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="role=column",
        help="or role==VALUE, where every row has the same",
    )
    verb.add_argument("--option", action="append", default=[], metavar="key=value")
    verb.add_argument("--val", default="0.05", help="share of the rows below 1, or their number")
    verb.add_argument("--seed", type=int, default=1)
    verb = verbs.add_parser("check", help="look through a version")
    verb.add_argument("name", help="name or name@version")
    add_length(verb)
    verb = verbs.add_parser("clean", help="make a version without rows that have faults")
    verb.add_argument("name", help="name or name@version")
    verb.add_argument("--drop", action="append", default=[], metavar="CODE", required=True)
    add_length(verb)
    verbs.add_parser("list", help="list all versions")
    verbs.add_parser("show", help="show one version").add_argument("name")
    for each in verbs.choices.values():
        each.add_argument("--json", action="store_true", help="print JSON")


def add_length(verb: ArgumentParser) -> None:
    verb.add_argument("--model", default="", help="folder of the model whose tokenizer counts")
    verb.add_argument("--max-length", type=int, default=None, help="tokens that a row may have")


def owner() -> User | None:
    return User.objects.filter(is_superuser=True).order_by("pk").first()


def find_source(name: str) -> Source:
    source = Source.objects.filter(dataset__name=name, state=State.DONE).first()
    if source is None:
        raise DatasetError(f"Nothing was imported into {name}: manage.py dataset import.")
    return source


def pairs(given: list[str]) -> dict[str, str]:
    bad = [pair for pair in given if "=" not in pair]
    if bad:
        raise DatasetError(f"{bad[0]}: write key=value.")
    return dict(pair.split("=", 1) for pair in given)


def share(text: str) -> float | int:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise DatasetError(
            f"--val {text}: write a share such as 0.05, or a number of rows."
        ) from None


def named(options: dict[str, Any]) -> Version:
    """The version that the command names. Raises ``FieldError``."""
    try:
        return services.find_version(options["name"])
    except ValueError as error:
        raise FieldError("name", str(error)) from None
