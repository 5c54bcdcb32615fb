"""What the end of a machine's rental means to a run is an event of the kind ``rental``, and a
machine, which lies below jobs, has no relation back to them."""

import django.db.models.deletion
from django.db import migrations, models


def rename(apps, before, after):
    apps.get_model("jobs", "Event").objects.filter(kind=before, source="platform").update(kind=after)


def forwards(apps, schema_editor):
    rename(apps, "lease", "rental")


def backwards(apps, schema_editor):
    rename(apps, "rental", "lease")


class Migration(migrations.Migration):
    dependencies = [
        ("compute", "0008_rental"),
        ("jobs", "0006_files_of_far_runs"),
    ]

    operations = [
        migrations.AlterField(
            "job",
            "machine",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="compute.machine",
            ),
        ),
        migrations.AlterField(
            "lease",
            "machine",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="compute.machine",
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
