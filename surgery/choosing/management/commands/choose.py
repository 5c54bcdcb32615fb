from argparse import ArgumentParser
from typing import Any

from jobs.management.base import find_job, find_user
from platform_site.commands import FieldError, JsonCommand
from platform_site.counts import size_text
from surgery.choice.candidate import Choice
from surgery.choice.criteria import ChoiceError
from surgery.choice.criterion import FORMULA, METRIC, PARETO, VALIDATION, Criterion
from surgery.choice.formula import FormulaError
from surgery.choosing import tidying
from surgery.choosing.table import Row, Table, table_of
from surgery.choosing.tidying import Plan


class Command(JsonCommand):
    help = "Choose the best checkpoint of a run, with the reason; the rest can be deleted."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--by", metavar="METRIC", help="the best of it (default: validation)")
        way.add_argument("--pareto", action="store_true", help="reward against KL")
        way.add_argument("--formula", metavar="F", help='as m["val-core/acc"] - 0.5 * kl')
        side = parser.add_mutually_exclusive_group()
        side.add_argument("--higher", action="store_true", help="higher is better")
        side.add_argument("--lower", action="store_true", help="lower is better")
        parser.add_argument("--keep", type=int, metavar="K", help="what keeping the best K frees")
        parser.add_argument("--delete", action="store_true", help="with --keep: delete the rest")
        parser.add_argument("--user", default="", help="who asks (default: first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        job, best = find_job(options["id"]), options["keep"]
        if options["delete"] and best is None:
            raise FieldError("delete", "--delete goes with --keep K: say how many stay.")
        if best is not None and best < 1:
            raise FieldError("keep", "Keep one at least.")
        criterion = criterion_of(options)
        try:
            table = table_of([job], criterion.metrics)
            choice = criterion.choose(table.candidates)
        except (ChoiceError, FormulaError) as error:
            raise FieldError(field_of(criterion), str(error)) from None
        data, text = choice_json(table, choice), [choice.reason, *_followers(choice)]
        if best is not None:
            planned = tidying.plan(table, choice, best)
            refused = None
            if options["delete"]:
                who = find_user(options["user"]).get_username()
                refused = tidying.carry_out(planned, planned.digest, who=who)
            data |= plan_json(planned, refused)
            text += _lines(planned, refused)
        self.show(options, data, "\n".join(text))


def criterion_of(options: dict[str, Any]) -> Criterion:
    higher = True if options["higher"] else (False if options["lower"] else None)
    if options["by"] is not None:
        return Criterion(METRIC, metric=options["by"], higher=higher)
    if options["formula"] is not None:
        return Criterion(FORMULA, formula=options["formula"], higher=higher)
    return Criterion(PARETO if options["pareto"] else VALIDATION)


def field_of(criterion: Criterion) -> str:
    return {METRIC: "by", VALIDATION: "by"}.get(criterion.by, criterion.by)


def choice_json(table: Table, choice: Choice) -> dict[str, Any]:
    return {
        "chosen": row_json(table.row_of(choice.chosen)) if choice.chosen else None,
        "value": choice.value,
        "reason": choice.reason,
        "runners_up": [
            {"step": each.candidate.step, "value": each.value, "distance": each.distance}
            for each in choice.runners_up
        ],
        "unknown": [{"step": each.step, "why": why} for each, why in choice.unknown],
        "checkpoints": [row_json(row) for row in table.rows],
    }


def row_json(row: Row) -> dict[str, Any]:
    artifact = row.saved.artifact
    known = {name: row.candidate.known(name) for name in sorted(row.candidate.metrics)}
    return {
        "step": row.saved.step,
        "artifact": artifact.pk,
        "bytes": artifact.size,
        "folder": row.saved.folder,
        "states": row.states,
        "pinned_by": artifact.pinned_by or None,
        "metrics": known,
        "flags": [{"flag": flag.name, "numbers": flag.numbers} for flag in row.flags],
    }


def plan_json(planned: Plan, refused: list[str] | None) -> dict[str, Any]:
    return {
        "kept": [{"step": each.row.saved.step, "why": each.why} for each in planned.kept],
        "rest": [{"step": each.row.saved.step, "lost": list(each.lost)} for each in planned.rest],
        "later": planned.later,
        "freed_bytes": planned.freed,
        "is_deleted": refused is not None,
        "refused": refused or [],
    }


def _followers(choice: Choice) -> list[str]:
    return [
        f"  {each.candidate.name}: {each.value:.6g}, {each.distance:.6g} behind"
        for each in choice.runners_up
    ] + [f"  {each.name}: {why}" for each, why in choice.unknown]


def _lines(planned: Plan, refused: list[str] | None) -> list[str]:
    does = "Being deleted" if refused is not None else "Would be deleted"
    gone = ", ".join(str(each.row.saved.step) for each in planned.rest) or "none"
    kept = [f"Kept: step {each.row.saved.step}. {each.why}" for each in planned.kept]
    told = [*kept, f"{does}: steps {gone}; {size_text(planned.freed)} of disk."]
    if planned.later:
        told.append(f"{planned.later} more would go, the next time.")
    return [*told, *(refused or [])]
