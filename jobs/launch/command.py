"""The command of a job, as its page shows it and as it runs, and who set each part of it."""

from django.utils.text import slugify

from compute.runners.rundir import write_script
from jobs.kinds.base import Spec
from jobs.launch import joint
from jobs.launch.submit import Order, drafted
from jobs.models import Job
from jobs.places import places
from jobs.process import Command, Placement
from jobs.queue import claims
from jobs.recipebook.book import find_recipe


def command_for(order: Order) -> Command:
    """The command that this order would run: what the preview shows is what then runs."""
    return command_of(drafted(order))


def command_of(job: Job) -> Command:
    """The command that was started or, before that, the one that would be."""
    if job.command:
        return Command.from_json(job.command)
    return build(job, job.spec_of_kind)


def build(job: Job, spec: Spec) -> Command:
    name = f"{slugify(job.name)[:60] or 'run'}-{str(job.uuid)[:8]}"
    placement = Placement(
        job.run_dir,
        job.machine.python,
        name,
        devices=claims.leased_devices(job) if job.gpus and job.is_active else (),
        resume_from=job.resume_from,
        spread=joint.spread_of_job(job, spec),
    )
    return job.job_kind.command(spec, placement, origins(job))


def script_of(job: Job) -> str:
    """The run script of a job: what was written into its run directory, or what will be."""
    command = command_of(job)
    return write_script(command.argv, command.env, command.cwd)


def origins(job: Job) -> dict[str, str]:
    """Who gave each setting: the recipe, or the user where the value differs from the recipe's."""
    recipe = find_recipe(job.recipe, job.owner)
    given = recipe.spec(places()).values if recipe else {}
    values = job.job_kind.values(job.spec_of_kind)
    return {
        name: "recipe" if name in given and given[name] == value else "you"
        for name, value in values.items()
    }
