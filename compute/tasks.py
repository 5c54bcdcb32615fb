from compute.checks import checking
from compute.models import Machine


def check(pk: int, who: str = "") -> None:
    checking.check(Machine.objects.get(pk=pk), who=who)
