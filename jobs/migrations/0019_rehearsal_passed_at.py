from django.db import migrations, models
from django.db.models import OuterRef, Subquery


def fill(apps, schema_editor):
    """Of a rehearsal whose run is deleted already nobody knows whether it passed."""
    rehearsal, job = apps.get_model("jobs", "Rehearsal"), apps.get_model("jobs", "Job")
    ended = job.objects.filter(pk=OuterRef("run")).values("ended_at")
    rehearsal.objects.filter(run__status="completed").update(passed_at=Subquery(ended))


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0018_base_of_saved_recipe"),
    ]

    operations = [
        migrations.AddField(
            model_name="rehearsal",
            name="passed_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Kept when the job that tried it is deleted.",
                null=True,
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
