"""The command of a job, as its page shows it and as it runs, and who set each part of it."""

from django.contrib.auth.models import User
from django.utils.text import slugify

from compute.runners.rundir import write_script
from jobs.launch import joint
from jobs.launch.submit import Order, drafted
from jobs.models import Job
from jobs.places import places
from jobs.queue import claims
from jobs.recipebook.book import find_recipe
from jobs.verl.command import build_command
from jobs.verl.spec import Command, Placement, TrainSpec


def command_for(order: Order) -> Command:
    """The command that this order would run: what the preview shows is what then runs."""
    return command_of(drafted(order))


def command_of(job: Job) -> Command:
    """The command that was started or, before that, the one that would be."""
    if job.command:
        return Command.from_json(job.command)
    return build(job, job.train_spec)


def build(job: Job, spec: TrainSpec) -> Command:
    name = f"{slugify(job.name)[:60] or 'run'}-{str(job.uuid)[:8]}"
    placement = Placement(
        job.run_dir,
        job.machine.python,
        name,
        devices=claims.devices_held(job) if job.gpus and job.is_active else (),
        resume_from=job.resume_from,
        spread=joint.spread_of_job(job, spec),
    )
    return build_command(spec, placement, origins(job.recipe, job.train_spec, job.owner))


def script_of(job: Job) -> str:
    """The run script of a job: what was written into its run directory, or what will be."""
    command = command_of(job)
    return write_script(command.argv, command.env, command.cwd)


def origins(recipe_slug: str, spec: TrainSpec, owner: User) -> dict[str, str]:
    """Who set each knob: the recipe, or the user where the value differs from the recipe's."""
    recipe = find_recipe(recipe_slug, owner)
    given = recipe.spec(places()).values if recipe else {}
    return {
        name: "recipe" if given.get(name) == value else "you" for name, value in spec.values.items()
    }
