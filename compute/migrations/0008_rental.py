"""The end of a rented machine is called its rental; a lease is a GPU's."""

from django.db import migrations

KINDS = {"lease set": "rental set", "lease near": "rental near", "lease over": "rental over"}


def rename(apps, kinds):
    events = apps.get_model("compute", "MachineEvent").objects
    for before, after in kinds.items():
        events.filter(kind=before).update(kind=after)


def forwards(apps, schema_editor):
    rename(apps, KINDS)


def backwards(apps, schema_editor):
    rename(apps, {after: before for before, after in KINDS.items()})


class Migration(migrations.Migration):
    dependencies = [("compute", "0007_machine_events")]

    operations = [
        migrations.RenameField("machine", "lease_ends_at", "rental_ends_at"),
        migrations.RunPython(forwards, backwards),
    ]
