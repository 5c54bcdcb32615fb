import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from evaluations.chains import services
from evaluations.chains.estimating import expected, total
from evaluations.chains.management.told import as_json, as_line, as_text
from evaluations.chains.models import Chain, ChainRecipe
from evaluations.steps.ready import ready_chains
from jobs.management.base import find_user
from platform_site.commands import FieldError, JsonCommand
from platform_site.fields import asked_key, one_line

DOES = ("run", "check", "show", "list", "recipes", "stop", "resume")
LOOK_EVERY = 0.5
MOST_LISTED = 500


class Command(JsonCommand):
    help = (
        "Start a chain of jobs from a recipe, show how it stands, stop it, or let it go on. With "
        "--wait the exit code is 0 only if it completed."
    )

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("do", choices=DOES)
        parser.add_argument(
            "what", nargs="?", default="",
            help="run, check: a YAML file, - for standard input, or the name of a recipe; "
            "show, stop, resume: the number of a chain",
        )  # fmt: skip
        parser.add_argument("--name", default="", help="the new chain's name")
        parser.add_argument("--machine", default="", help="where training runs")
        parser.add_argument("--user", default="", help="who asks (default: first administrator)")
        parser.add_argument("--wait", action="store_true", help="wait until the chain is over")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"do_{options['do']}")(options)
        except services.NotStarted as error:
            raise CommandError(str(error)) from error

    def do_run(self, options: dict[str, Any]) -> None:
        user = find_user(options["user"])
        try:
            one_line(options["name"])
        except ValidationError as error:
            raise FieldError("name", "; ".join(error.messages)) from error
        kept = _kept(options["what"], user.pk)
        machine = services.machine_named(options["machine"]) if options["machine"] else None
        chain = services.start(
            kept.text if kept else _text(options["what"]), user,
            machine=machine or (kept.machine if kept else None),
            name=options["name"] or (kept.name if kept else ""), kept=kept,
        )  # fmt: skip
        self.tell(chain, options)

    def do_check(self, options: dict[str, Any]) -> None:
        user = find_user(options["user"])
        kept = _kept(options["what"], user.pk)
        text = kept.text if kept else _text(options["what"])
        machine = services.machine_named(options["machine"]) if options["machine"] else None
        found = services.checked(text, user, machine)
        if found.problems:
            raise services.NotStarted("\n".join(map(str, found.problems)))
        rows = expected(found)
        data = [
            {"step": row.step.name, "jobs": row.jobs, "seconds": _span(row.low, row.high),
             "cost": row.cost, "source": row.source} for row in rows
        ]  # fmt: skip
        whole = total(rows)
        told = [f"{row.step.name:<20} {_in_words(row.low, row.high):<20} {row.source}"
                for row in rows]  # fmt: skip
        if len(whole.unknown) < len(rows):
            told.append(f"{'Together':<20} {_in_words(whole.low, whole.high)}")
        if whole.unknown:
            told.append(f"Not known: {', '.join(whole.unknown)}.")
        facts = {"name": found.recipe.name, "steps": data, "unknown": list(whole.unknown),
                 "seconds": [whole.low, whole.high], "cost": whole.cost}  # fmt: skip
        self.show(options, facts, "\n".join(told))

    def do_show(self, options: dict[str, Any]) -> None:
        data = as_json(_found(options["what"]))
        self.show(options, data, as_text(data))

    def do_list(self, options: dict[str, Any]) -> None:
        chains = list(Chain.objects.select_related("owner", "machine")[:MOST_LISTED])
        lines = [as_line(chain) for chain in chains]
        rows = [
            {"id": chain.pk, "name": chain.name, "state": chain.state, "reason": chain.reason,
             "owner": chain.owner.get_username()} for chain in chains
        ]  # fmt: skip
        self.show(options, rows, "\n".join(lines) or "There are no chains.")

    def do_recipes(self, options: dict[str, Any]) -> None:
        rows = [{"name": each.slug, "title": each.name, "about": each.about}
                for each in ready_chains().values()]  # fmt: skip
        own = ChainRecipe.objects.filter(owner=find_user(options["user"]))
        rows += [{"name": kept.name, "title": kept.name, "about": kept.get_every_display()}
                 for kept in own]  # fmt: skip
        self.show(options, rows, "\n".join(f"{row['name']:<30} {row['title']}" for row in rows))

    def do_stop(self, options: dict[str, Any]) -> None:
        chain, who = _found(options["what"]), find_user(options["user"]).get_username()
        if not services.stop(chain, who=who):
            raise CommandError(f"Chain {chain.pk} is {chain.state}.")
        self.tell(chain, options)

    def do_resume(self, options: dict[str, Any]) -> None:
        chain, who = _found(options["what"]), find_user(options["user"]).get_username()
        if not services.resume(chain, who=who):
            raise CommandError(f"Chain {chain.pk} is {chain.state}.")
        self.tell(chain, options)

    def tell(self, chain: Chain, options: dict[str, Any]) -> None:
        """Show it, after its end where that is waited for."""
        while options["wait"] and chain.is_running:
            time.sleep(LOOK_EVERY)
            chain.refresh_from_db()
        data = as_json(chain)
        self.show(options, data, as_text(data))
        if options["wait"] and chain.state != Chain.State.COMPLETED:
            self.stderr.write(chain.reason)
            sys.exit(1)


def _found(text: str) -> Chain:
    key = asked_key(text)
    rows = Chain.objects.select_related("machine", "owner")
    chain = rows.filter(pk=key).first() if key is not None else None
    if chain is None:
        raise FieldError("what", f"There is no chain {text}. manage.py chain list names all.")
    return chain


def _kept(name: str, owner: int) -> ChainRecipe | None:
    rows = ChainRecipe.objects.filter(owner=owner, name=name)
    return rows.select_related("machine").first()


def _text(name: str) -> str:
    """The text of a recipe: of a ready-made one, or of a file."""
    if not name:
        raise FieldError(
            "what", "Name a YAML file, or a recipe: manage.py chain recipes lists them."
        )
    if name == "-":
        return sys.stdin.read()
    if (ready := ready_chains().get(name)) is not None:
        return ready.text
    try:
        return Path(name).read_text()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise FieldError("what", f"There is no recipe {name}, and no such file that can be read: "
                         f"{error}") from error  # fmt: skip


def _span(low: float | None, high: float | None) -> list[float] | None:
    return None if low is None or high is None else [low, high]


def _in_words(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "not known"
    return f"{low:.0f} s" if low == high else f"{low:.0f} to {high:.0f} s"
