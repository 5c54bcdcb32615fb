from compute import checking, settingup
from compute.models import Machine


def check(pk: int, who: str = "") -> None:
    checking.check(Machine.objects.get(pk=pk), who=who)


def start_set_up(pk: int) -> None:
    settingup.start_process(Machine.objects.get(pk=pk))
