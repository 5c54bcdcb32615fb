"""The panel beside the form: the command as it would run, and what stands in its way."""

import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from django.conf import settings

from compute.runners.rundir import write_script
from jobs.files import shipping
from jobs.launch import submit
from jobs.launch.submit import Order
from jobs.order.forms import JobForm
from jobs.order.sketch import NEEDED, Sketch, sketch
from jobs.process import Command
from jobs.queue import rental
from jobs.recipebook.book import reads_samples
from jobs.verl.diff import run_of
from jobs.verl.releases import left_to
from jobs.verl.spec import TrainSpec
from jobs.verl.unset import words_of_unset
from jobs.verl.variants import variant_of

Told = tuple[str | None, str, str]  # the field, if it is about one, its label, and a sentence


class Preview:
    """The command and the steps of a valid form; of another one a sketch, and the problems.

    The command is built once. A field that is still empty is no error before the form is sent.
    """

    def __init__(self, form: JobForm) -> None:
        self.form = form
        self.is_valid = form.is_valid()

    @property
    def context(self) -> dict[str, Any]:
        return {
            "recipe": self.form.recipe,
            "is_sample": self.is_sample,
            "preview": self,
            "needed": self.needed,
            "problems": self.problems,
            "errors": by_field(self.problems),
            "warnings": self.warnings,
            "warned": by_field(self.warnings),
        }

    @property
    def is_sample(self) -> bool:
        """Also of a form with errors: what it would read is known all the same."""
        recipe, given = self.form.recipe, self.form.data
        values = {name: str(given.get(name) or "") for name in self.form.fields}
        return recipe.is_sample and reads_samples(TrainSpec(recipe.kind, values))

    @cached_property
    def order(self) -> Order:
        return self.form.order()

    @cached_property
    def command(self) -> Command:
        """The command of a valid form."""
        return self.form.command

    @cached_property
    def sketch(self) -> Sketch | None:
        needed = {str(name): NEEDED for name, _, _ in self.needed}
        return sketch(self.form, by_field(self.problems) | needed)

    @cached_property
    def text(self) -> str:
        """The script: of a form with errors with marks, and empty where none can be said."""
        if not self.is_valid:
            return self.sketch.html if self.sketch else ""
        command = self.command
        return write_script(command.argv, command.env, command.cwd)

    @property
    def overrides(self) -> list[str]:
        return [setting.text for setting in self.command.settings]

    @property
    def steps(self) -> int | None:
        return self.order.steps

    @property
    def steps_note(self) -> str:
        return self.form.preflight.steps_note

    @property
    def notes(self) -> list[str]:
        """What is good to know. None of it is an error."""
        spec = self.order.spec
        variant = variant_of(spec.kind, self.form.spec.values.get("variant"))
        notes = [f"{variant.label} ({variant.source}). {variant.note}".strip()] if variant else []
        notes += self._later()
        given = {setting.key for setting in self.command.settings}
        notes += left_to(self.form.spec.verl, spec.kind, given)
        if self.order.machine.rental_ends_at and (
            told := rental.warning(submit.drafted(self.order))
        ):
            notes.append(told)
        return notes

    def _later(self) -> Iterator[str]:
        """Notes on values that are decided only at the start."""
        values = self.form.spec.values
        if values.get("device") == "cuda":
            yield "Its GPUs are chosen at the start; CUDA_VISIBLE_DEVICES then names them."
        yield from shipping.model_notes(self.form.spec, self.form.cleaned_data["machine"])
        if self.form.trains_on:
            before = self.form.cleaned_data["after"]
            yield f"N is the last step that job {before.pk} has saved when it has completed."
            if before.machine != (machine := self.form.cleaned_data["machine"]):
                yield f"Its model is then copied from {before.machine} to {machine}."

    @cached_property
    def unset(self) -> dict[str, str]:
        """What an empty field stands for, by the field."""
        command = self.command if self.is_valid else self.sketch and self.sketch.command
        given = command.settings if command else ()
        return words_of_unset(run_of(self.form.spec, given, settings.TRAINYARD_VERL_SCHEMA))

    @property
    def unset_json(self) -> str:
        return json.dumps(self.unset)

    @cached_property
    def needed(self) -> list[Told]:
        """The fields that are still to be filled in."""
        return (
            [] if self.form.is_final else [told for told in self._errors if told[0] in self._bare]
        )

    @cached_property
    def problems(self) -> list[Told]:
        """Each error, in the order of the form."""
        bare = set() if self.form.is_final else self._bare
        return [told for told in self._errors if told[0] not in bare]

    @cached_property
    def _bare(self) -> set[str]:
        errors = self.form.errors.as_data()
        return {name for name, found in errors.items() if found[0].code == "required"}

    @cached_property
    def _errors(self) -> list[Told]:
        return [
            (name if name in self.form.fields else None, self._label(name), str(message))
            for name, messages in self.form.errors.items()
            for message in messages
        ]

    @cached_property
    def warnings(self) -> list[Told]:
        """What is allowed and unusual."""
        return [
            (told.field or None, self._label(told.field), told.message)
            for told in self.form.warnings
        ]

    def _label(self, name: str) -> str:
        return str(self.form[name].label) if name in self.form.fields else "The run"


def by_field(told: list[Told]) -> dict[str, str]:
    """The sentences that stand beside each field, by its name."""
    texts: dict[str, list[str]] = {}
    for name, _, message in told:
        texts.setdefault(name or "", []).append(message)
    return {name: " ".join(messages) for name, messages in texts.items()}
