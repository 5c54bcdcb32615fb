from typing import Any

from jobs.kinds.registry import registry
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "List the kinds of job, those of installed packages too, and packages that brought none."

    def handle(self, *args: Any, **options: Any) -> None:
        found = registry()
        kinds = [
            {"kind": kind.slug, "label": kind.label, "counts": kind.units}
            for kind in found.kinds.values()
        ]
        left_out = [{"entry": one.name, "why": one.why} for one in found.problems]
        lines = [f"{row['kind']:<12} {row['label']}, in {row['counts']}" for row in kinds]
        lines += [f"Left out: {row['entry']}. {row['why']}" for row in left_out]
        self.show(options, {"kinds": kinds, "left_out": left_out}, "\n".join(lines))
