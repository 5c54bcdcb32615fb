import re
from datetime import datetime

from django.db import migrations
from django.utils import timezone

UNFINISHED = "It is being written, or its writing was cut off."
MODEL = re.compile(r"(?P<folder>.*/attempt-(?P<attempt>[0-9]+)/checkpoints/global_step_(?P<step>[0-9]+))/.+")


def from_lists(apps, schema_editor):
    """The lists of far runs' checkpoints become rows; this machine's runs are listed anew."""
    Job = apps.get_model("jobs", "Job")
    for job in Job.objects.exclude(checkpoints=[]).select_related("machine"):
        for told in job.checkpoints:
            keep_checkpoint(apps, job, told)
    here = Job.objects.filter(machine__kind="local", started_at__isnull=False)
    here.update(listing_due=True)
    for job in Job.objects.filter(after_checkpoint=True).select_related("after"):
        keep_input(apps, job)
    for job in Job.objects.filter(dataset_version__isnull=False).select_related("dataset_version__dataset"):
        keep_data(apps, job)


def keep_data(apps, job):
    version = job.dataset_version
    artifact, _ = apps.get_model("jobs", "Artifact").objects.get_or_create(
        version=version,
        defaults={
            "kind": "dataset", "name": f"{version.dataset.name}@{version.number}",
            "digest": version.sha256, "made_at": version.created_at,
        },
    )
    apps.get_model("jobs", "JobInput").objects.create(job=job, artifact=artifact, role="data")


def keep_checkpoint(apps, job, told):
    facts = told["facts"]
    artifact, _ = apps.get_model("jobs", "Artifact").objects.get_or_create(
        job=job, attempt=told["attempt"], name=facts["path"],
        defaults={
            "kind": "checkpoint", "owner_id": job.owner_id, "step": facts["step"],
            "size": facts["size"], "made_at": datetime.fromisoformat(facts["modified"]),
            "is_whole": facts["complete"], "fault": "" if facts["complete"] else UNFINISHED,
            "has_model": facts["has_hf"],
        },
    )
    keep_place(apps, artifact, job.machine_id, told["folder"])


def keep_place(apps, artifact, machine_id, path):
    apps.get_model("jobs", "Place").objects.get_or_create(
        artifact=artifact, machine_id=machine_id, path=path, defaults={"seen_at": timezone.now()}
    )


def keep_input(apps, job):
    """What it was to read, or has read: its settings have the path by then."""
    artifact, source = None, job.after
    found = MODEL.fullmatch(str(job.spec.get("values", {}).get("model_path", "")))
    if found and source:
        artifact, _ = apps.get_model("jobs", "Artifact").objects.get_or_create(
            job=source, attempt=int(found["attempt"]),
            name=f"checkpoints/global_step_{found['step']}",
            defaults={
                "kind": "checkpoint", "owner_id": source.owner_id, "step": int(found["step"]),
                "has_model": True,
            },
        )
        keep_place(apps, artifact, source.machine_id, found["folder"])
    apps.get_model("jobs", "JobInput").objects.create(
        job=job, artifact=artifact, source=source, role="model"
    )


class Migration(migrations.Migration):
    dependencies = [
        ('jobs', '0010_artifacts_and_inputs'),
    ]

    operations = [
        migrations.RunPython(from_lists, migrations.RunPython.noop),
    ]
