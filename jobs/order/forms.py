"""The form of a new job, built from the knobs and checked by the preflight. Commands use it too."""

import uuid as uuids
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.urls import reverse

from compute.machines.local import local_machine
from compute.models import Machine
from datasets.formats.rl_rows import SCORED, rl_rows
from datasets.models import Version
from jobs.artifacts.readable import unreadable
from jobs.files import parents, shipping
from jobs.kinds.registry import registry
from jobs.launch import command as commands
from jobs.launch.once import OnceForm
from jobs.launch.submit import Order
from jobs.models import ENDED, Job, Status
from jobs.order import layout
from jobs.order.choice_fields import OFFERED, JobField, MachineField, VersionField, with_files
from jobs.order.knob_fields import figure, knob_field, show_unset, shown
from jobs.order.preflight import Preflight
from jobs.places import places
from jobs.process import Command
from jobs.queue import claims
from jobs.rewards.before_submit import check_function
from jobs.trackers import accounts
from jobs.verl.checks import check_code
from jobs.verl.knobs import knobs_of
from jobs.verl.overrides import below
from jobs.verl.recipes import Recipe
from jobs.verl.sets import sorted_out
from jobs.verl.spec import LATEST, Problem, TrainSpec
from jobs.warning import FieldWarning
from platform_site.bounded.calls import bounded
from platform_site.fields import asked_key, one_line
from platform_site.paths import inside, open_to

LIMITS = ("retries", "max_hours")
SET_FIELDS = ("name", "machine", "after", "after_checkpoint", "uuid", "dataset", *LIMITS)
TICK = forms.CheckboxInput()
REWARD_KWARGS = "reward.custom_reward_function.reward_kwargs"
LONGEST_OVERRIDES = 50_000  # characters
MOST_OVERRIDES = 500  # lines
TRIED_ROWS = 4  # rows of the data on which the reward function is tried before a run


class JobForm(OnceForm):
    name = forms.CharField(max_length=200, label="Name", validators=[one_line])
    machine = MachineField()
    retries = forms.IntegerField(
        widget=figure("numeric"),
        min_value=0,
        max_value=20,
        required=False,
        initial=0,
        label="Retries after a crash",
        help_text="Each goes on from the last checkpoint. Not for an error that would repeat.",
    )
    max_hours = forms.FloatField(
        widget=figure("decimal"),
        min_value=0.1,
        max_value=24 * 365,
        required=False,
        label="Time limit in hours",
        help_text="Before it is over, the run saves a checkpoint and pauses. Empty: no limit.",
    )
    overrides = forms.CharField(
        required=False,
        max_length=LONGEST_OVERRIDES,
        label="Further overrides",
        help_text="One Hydra override a line, such as optim.num_cycles=0.1",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )

    cloned = forms.Field(required=False, widget=forms.HiddenInput)  # a job's number

    def __init__(
        self, recipe: Recipe, user: User, data: Any = None, *, is_final: bool = False
    ) -> None:
        """``is_final``: the job will be saved, so checks that take seconds run too."""
        self.recipe, self.user, self.is_final = recipe, user, is_final
        self.told: list[FieldWarning] = []  # by a look at the data
        self.preflight: Preflight  # set when all fields could be read
        self.defaults = recipe.spec(places())
        dataset = VersionField(recipe.target)
        dataset.widget.attrs |= fills(recipe)
        data = with_files(data, dataset)
        super().__init__(data, initial=None if data is not None else initial(recipe))
        self.fields["dataset"] = dataset
        self._add_after(user)
        for knob in knobs_of(recipe.kind):
            self.fields[knob.name] = knob_field(
                knob, recipe.kind, self.defaults.values.get(knob.name)
            )

        if self.trains_on:
            self.fields["model_path"].required = False

    def _add_after(self, user: User) -> None:
        ended = set(ENDED) - {Status.COMPLETED} if self.trains_on else ENDED
        self.fields["after"] = JobField(
            Job.objects.visible_to(user).filter(deleting_at=None).exclude(status__in=ended),
            required=False,
            empty_label="Nothing: start when the machine is free",
            label="Start after",
        )
        self.fields["after_checkpoint"] = forms.BooleanField(
            required=False,
            label="Train on its model",
            help_text="The newest checkpoint of that job, when it has completed.",
        )

    @property
    def trains_on(self) -> bool:
        """Whether the job trains on the model that the job before it saves."""
        return TICK.value_from_datadict(self.data, self.files, "after_checkpoint") is True

    def clean_overrides(self) -> str:
        text: str = self.cleaned_data["overrides"]
        if text.count("\n") >= MOST_OVERRIDES:
            raise forms.ValidationError(f"{MOST_OVERRIDES} lines are the most.")
        return text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.errors:
            return cleaned
        is_here = cleaned["machine"].is_local
        knows_model = not self.trains_on
        read = partial(open_to, self.user)
        self.preflight = Preflight(self.spec, knows_model, is_here, lambda: self.command, read)
        found = list(self._model_problems(cleaned["machine"])) or self.preflight.problems
        found = [*self._queue_problems(cleaned), *found]
        if not self.user.is_staff:
            found += check_code(self.spec)
        if not is_here:
            found += shipping.model_problems(self.spec)
        for problem in [*found, *self._account_problems(cleaned)]:
            self.add_error(problem.field or None, problem.message)
        if not self.errors:
            self._add(self.preflight.known)
        if self.is_final and not self.errors:
            self._add(self.preflight.rendered)
            for message in self._reward_problems():
                self.add_error("reward_file", message)
        return cleaned

    def _add(self, found: Sequence[Problem | FieldWarning]) -> None:
        """What was found of the rows; what is added later takes the place of what was known."""
        self.told = [told for told in found if isinstance(told, FieldWarning)] or self.told
        for problem in found:
            if isinstance(problem, Problem):
                self.add_error(problem.field, problem.message)

    def _queue_problems(self, cleaned: dict[str, Any]) -> Iterator[Problem]:
        before, machine = cleaned["after"], cleaned["machine"]
        if reason := claims.misfit(machine, self.spec):
            yield Problem("gpus", reason)
        if parents.comes_round(before, cleaned["uuid"]):
            yield Problem("after", f"Job {before.pk} would wait for this one.")
        if self.trains_on:
            yield from parents.problems(before)

    def _model_problems(self, machine: Machine) -> Iterator[Problem]:
        """Models that are somebody else's, or are being deleted: nothing else is said of these."""
        local, models = local_machine(), registry().find(self.recipe.kind).reads(self.spec).models
        refused = unreadable(models.values(), {machine.pk: machine, local.pk: local}, self.user)
        for name, path in models.items():
            if path in refused:
                yield Problem(name, refused[path])

    def _account_problems(self, cleaned: dict[str, Any]) -> list[Problem]:
        return accounts.problems(self.spec, self.user, cleaned["machine"])

    def _reward_problems(self) -> list[str]:
        """Problems of the reward function with the first rows that it will score."""
        values = self.spec.values
        path, name = str(values.get("reward_file", "")), str(values.get("reward_name", ""))
        if not path or values.get("reward_model"):  # verl then passes its router too
            return []
        file = inside(str(values["train_files"]))
        try:
            rows = bounded(rl_rows, file, TRIED_ROWS, SCORED)
        except ValueError as error:
            return [f"It was not tried: {error}"]
        kwargs = below(self.spec.overrides, REWARD_KWARGS)
        return check_function(path, name or "compute_score", rows, kwargs)

    @property
    def warnings(self) -> Sequence[FieldWarning]:
        """What is unusual in the fields that could be read. It refuses nothing."""
        if not self.is_bound:
            return ()
        _ = self.errors  # they are read by looking for their errors
        kind = registry().find(self.recipe.kind)
        return [*kind.warnings(self.spec, self.recipe.ranges), *self.told]

    @property
    def spec(self) -> TrainSpec:
        """The spec in the form. Fields with errors are left out of it."""
        values = {
            knob.name: self.cleaned_data[knob.name]
            for knob in knobs_of(self.recipe.kind)
            if self.cleaned_data.get(knob.name) not in (None, "")
        }
        before = self.cleaned_data.get("after")
        if self.trains_on and before:
            values["model_path"] = parents.awaited_model(before)
        lines = str(self.cleaned_data.get("overrides", "")).splitlines()
        overrides = tuple(line.strip() for line in lines if line.strip())
        machine = self.cleaned_data.get("machine")
        verl = machine.verl if machine else LATEST
        return TrainSpec(self.recipe.kind, values, overrides, verl)

    @cached_property
    def command(self) -> Command:
        """What would run: the checks look at it, and the preview shows it."""
        return commands.command_for(self._order(None))

    def order(self) -> Order:
        """The order to submit; for a valid form only."""
        return self._order(self.preflight.steps)

    def _order(self, steps: int | None) -> Order:
        return Order(
            owner=self.user,
            name=self.cleaned_data["name"],
            recipe=self.recipe.slug,
            spec=self.spec,
            steps=steps,
            machine=self.cleaned_data["machine"],
            uuid=self.cleaned_data["uuid"],
            after=self.cleaned_data["after"],
            after_checkpoint=self.cleaned_data["after_checkpoint"],
            dataset_version=self.cleaned_data["dataset"] or self._version_of_files(),
            retries=self.cleaned_data["retries"] or 0,
            max_seconds=_seconds(self.cleaned_data["max_hours"]),
            cloned_from=self._cloned(),
        )

    def _cloned(self) -> Job | None:
        """The job whose settings the form began with, while it is there and theirs."""
        key = asked_key(str(self.cleaned_data["cloned"] or ""))
        found = Job.objects.visible_to(self.user).filter(pk=key) if key else Job.objects.none()
        return found.first()

    def _version_of_files(self) -> Version | None:
        """The version to which both files belong, if there is one."""
        values = self.spec.values
        files = {"train_file": values["train_files"], "val_file": values["val_files"]}
        return Version.objects.ready().filter(**files).first()

    @property
    def first(self) -> list[forms.BoundField]:
        """What matters most, in the order of the form."""
        return layout.first(self)

    @property
    def groups(self) -> Iterator[layout.Group]:
        """The other fields by group."""
        return layout.groups(self, self.recipe.kind)

    @property
    def usual(self) -> list[str]:
        """The usual values that the recipe names, and the reasons."""
        return [
            f"{self[name].label}: {usual.low:g} to {usual.high:g} is usual. {usual.why}"
            for name, usual in self.recipe.ranges.items()
            if name in self.fields
        ]

    def show_unset(self, words: Mapping[str, str]) -> None:
        """Have empty fields say what they stand for, by the field."""
        for name, said in words.items():
            show_unset(self.fields[name], said)

    @cached_property
    def suggestions(self) -> dict[str, list[str]]:
        """What a field may offer: the data sets of the kind, and the sample models."""
        target = self.recipe.target
        known = list(Version.objects.ready().for_target(target).newest_first()[:OFFERED])
        samples = places()["samples"]
        return {
            "train_files": [version.train_file for version in known],
            "val_files": [version.val_file for version in known],
            "model_path": [f"{samples}/model", f"{samples}/model-warm"],
        }


def fills(recipe: Recipe) -> dict[str, str]:
    """With these a chosen data set fills the fields of its files at once."""
    return {
        "hx-post": reverse("jobs:preview", args=[recipe.slug]),
        "hx-trigger": "input consume",
        "hx-vals": '{"fill": "1"}',
    }


def limits_of(job: Job) -> dict[str, Any]:
    """The form's values for a job's own limits."""
    hours = "" if job.max_seconds is None else job.max_seconds / 3600
    return {"retries": job.retries, "max_hours": hours}


def _seconds(hours: float | None) -> int | None:
    return None if hours is None else round(hours * 3600)


def initial(recipe: Recipe) -> dict[str, Any]:
    """The values of a new form: the recipe's, and an id, so that sending it twice makes one job."""
    spec = recipe.spec(places())
    values = {name: shown(value) for name, value in spec.values.items()}
    return values | {
        "uuid": uuids.uuid4(),
        "name": recipe.title,
        "machine": local_machine().pk,
        "overrides": "\n".join(spec.overrides),
    }


def form_data(recipe: Recipe, name: str, sets: list[str]) -> dict[str, Any]:
    """The form's data from a command: the recipe's values, then each ``key=value``.

    A key is a knob's name or its Hydra key; any other becomes a free override.
    """
    data = initial(recipe)
    if name:
        data["name"] = name
    values, overrides = sorted_out(recipe.kind, sets, SET_FIELDS)
    lines = [str(data["overrides"]), *overrides]
    return data | values | {"overrides": "\n".join(lines)}
