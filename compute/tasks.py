from compute import checking, settingup
from compute.models import Machine


def check(pk: int) -> None:
    checking.check(Machine.objects.get(pk=pk))


def start_set_up(pk: int) -> None:
    settingup.start_process(Machine.objects.get(pk=pk))
