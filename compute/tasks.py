from compute.checks import checking
from compute.models import Machine
from compute.setup import settingup


def check(pk: int, who: str = "") -> None:
    checking.check(Machine.objects.get(pk=pk), who=who)


def start_set_up(pk: int) -> None:
    settingup.start_process(Machine.objects.get(pk=pk))
