"""The command of a form with errors: as far as it can be read, with what is wrong marked in it."""

import shlex
import uuid as uuids
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from compute.machines.local import local_machine
from compute.models import Machine
from compute.runners.rundir import write_script
from jobs.launch import command as commands
from jobs.launch.submit import Order
from jobs.order.forms import JobForm
from jobs.process import Command, Setting
from jobs.verl.command import translated
from jobs.verl.knobs import COMMAND, Knob, knobs_of
from jobs.verl.spec import LATEST, TrainSpec, Value

NEEDED = "still to fill in"


@dataclass(frozen=True)
class Sketch:
    """``marks`` says by an argument of the command what is wrong with it."""

    command: Command
    marks: Mapping[str, str]

    @property
    def html(self) -> SafeString:
        """The script, line by line; a wrong line is marked, and its reason stands behind it."""
        return format_html_join("\n", "{}", ((_line(*line),) for line in self._lines))

    @property
    def text(self) -> str:
        """The same for a terminal."""
        return "\n".join(f"{line}  # <-- {told}" if told else line for line, told in self._lines)

    @property
    def _lines(self) -> Iterator[tuple[str, str]]:
        """Each line of the script, and what is wrong with it."""
        command = self.command
        why = {shlex.quote(argument): told for argument, told in self.marks.items()}
        for line in write_script(command.argv, command.env, command.cwd).splitlines():
            yield line, why.get(line.strip().removesuffix(" \\"), "")


def _line(line: str, told: str) -> SafeString | str:
    if not told:
        return line
    css = "needed" if told == NEEDED else "wrong"
    return format_html('<mark class="{}">{}</mark> <span class="why"># {}</span>', css, line, told)


def sketch(form: JobForm, told: Mapping[str, str]) -> Sketch | None:
    """``told`` says by the field what is wrong with it, or ``NEEDED``. None where not even a part
    of the command can be said.
    """
    values = dict(_readable(form))
    machine = form.cleaned_data.get("machine") or local_machine()
    spec = TrainSpec(form.recipe.kind, values, _override_lines(form), machine.verl)
    order = Order(
        owner=form.user,
        name=str(form.cleaned_data.get("name", "")),
        recipe=form.recipe.slug,
        spec=spec,
        steps=None,
        machine=machine,
        uuid=form.cleaned_data.get("uuid") or uuids.uuid4(),
    )
    try:
        command = commands.command_for(order)
        marks = dict(_marks(form, spec, command, told))
    except (ValueError, KeyError):  # the release has no such key, or the group of machines no room
        return None
    return Sketch(_with_missing(command, marks), marks)


def readable_spec(form: JobForm) -> tuple[TrainSpec, Machine | None]:
    """The spec as far as the form can be read, and its machine; nothing else is checked."""
    bound = form["machine"]
    try:
        machine: Machine | None = bound.field.clean(bound.data)
    except ValidationError:
        machine = None
    verl = machine.verl if machine else LATEST
    return TrainSpec(form.recipe.kind, dict(_readable(form)), _override_lines(form), verl), machine


def _readable(form: JobForm) -> Iterator[tuple[str, Value]]:
    """The values that can be read, those that a check refused too."""
    for knob in knobs_of(form.recipe.kind):
        bound = form[knob.name]
        try:
            value = bound.field.clean(bound.data)
        except ValidationError:
            continue
        if value not in (None, ""):
            yield knob.name, value


def _override_lines(form: JobForm) -> tuple[str, ...]:
    bound = form["overrides"]
    try:
        text = str(bound.field.clean(bound.data))
    except ValidationError:
        return ()
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _marks(
    form: JobForm, spec: TrainSpec, command: Command, told: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for text in spec.overrides:
        if text.partition("=")[0].lstrip("+~") in told.get("overrides", ""):
            yield text, told["overrides"]
    for knob in knobs_of(spec.kind):
        if knob.name in told:
            yield from _marks_of(knob, form, spec, command, told[knob.name])


def _marks_of(
    knob: Knob, form: JobForm, spec: TrainSpec, command: Command, told: str
) -> Iterator[tuple[str, str]]:
    typed = "" if knob.name in spec.values else str(form[knob.name].data or "")
    asked = (Setting(key, f"{key}={typed}") for key in knob.keys[spec.kind] if key != COMMAND)
    for setting in translated(asked, spec):
        there = next((one.text for one in command.settings if one.key == setting.key), "")
        yield there if there and knob.name in spec.values else setting.text, told


def _with_missing(command: Command, marks: Mapping[str, str]) -> Command:
    """The command with the settings whose values could not be read, as they were typed."""
    missing = [text for text in marks if text not in command.argv]
    keys = tuple(f"{text.partition('=')[0]}=" for text in missing)
    kept = [text for text in command.argv if not (keys and text.startswith(keys))]
    return replace(command, argv=(*kept, *missing))
