"""The panel beside the form: the command as it would run, or the problems that prevent it."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from compute.runners.rundir import write_script
from jobs.files import shipping
from jobs.launch import command as commands
from jobs.launch import submit
from jobs.order.forms import JobForm
from jobs.process import Command
from jobs.queue import rental
from jobs.recipebook.book import reads_samples
from jobs.verl.releases import left_to
from jobs.verl.spec import TrainSpec
from jobs.verl.variants import variant_of


class Preview:
    """The command and the steps of a valid form; of an invalid one only the problems."""

    def __init__(self, form: JobForm) -> None:
        self.form = form
        self.is_valid = form.is_valid()

    @property
    def context(self) -> dict[str, Any]:
        return {
            "recipe": self.form.recipe,
            "is_sample": self.is_sample,
            "preview": self if self.is_valid else None,
            "problems": self.problems,
            "warnings": self.warnings,
            "warned": self.warned,
        }

    @property
    def is_sample(self) -> bool:
        """Also of a form with errors: what it would read is known all the same."""
        recipe, given = self.form.recipe, self.form.data
        values = {name: str(given.get(name) or "") for name in self.form.fields}
        return recipe.is_sample and reads_samples(TrainSpec(recipe.kind, values))

    @property
    def command(self) -> Command:
        return commands.command_for(self.form.order())

    @property
    def text(self) -> str:
        command = self.command
        return write_script(command.argv, command.env, command.cwd)

    @property
    def overrides(self) -> list[str]:
        return [setting.text for setting in self.command.settings]

    @property
    def steps(self) -> int | None:
        return self.form.order().steps

    @property
    def steps_note(self) -> str:
        return self.form.preflight.steps_note

    @property
    def notes(self) -> list[str]:
        """What is good to know. None of it is an error."""
        values = self.form.spec.values
        variant = variant_of(self.form.recipe.kind, values.get("variant"))
        notes = [f"{variant.label} ({variant.source}). {variant.note}".strip()] if variant else []
        notes += self._later()
        spec, given = self.form.spec, {setting.key for setting in self.command.settings}
        notes += left_to(spec.verl, spec.kind, given)
        order = self.form.order()
        if order.machine.rental_ends_at and (told := rental.warning(submit.drafted(order))):
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

    @property
    def problems(self) -> list[tuple[str | None, str, str]]:
        """(field or None, label, message) for each error, in the order of the form."""
        return [
            (name if name in self.form.fields else None, self._label(name), str(message))
            for name, messages in self.form.errors.items()
            for message in messages
        ]

    @cached_property
    def warnings(self) -> list[tuple[str | None, str, str]]:
        """As ``problems``, of what is allowed and unusual."""
        return [
            (
                told.field if told.field in self.form.fields else None,
                self._label(told.field),
                told.message,
            )
            for told in self.form.warnings
        ]

    @property
    def warned(self) -> dict[str, str]:
        """What stands beside each field that is warned of, by its name."""
        texts: dict[str, list[str]] = {}
        for name, _, message in self.warnings:
            texts.setdefault(name or "", []).append(message)
        return {name: " ".join(messages) for name, messages in texts.items()}

    def _label(self, name: str) -> str:
        return str(self.form[name].label) if name in self.form.fields else "The run"
