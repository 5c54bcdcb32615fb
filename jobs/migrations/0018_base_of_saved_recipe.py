from django.db import migrations, models
from django.db.models import OuterRef, Subquery


def fill(apps, schema_editor):
    """Of a recipe whose job is deleted already nobody knows with which recipe it began."""
    saved, job = apps.get_model("jobs", "SavedRecipe"), apps.get_model("jobs", "Job")
    of_job = job.objects.filter(pk=OuterRef("job")).values("recipe")
    saved.objects.filter(job__isnull=False).update(base=Subquery(of_job))


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0017_rehearsal"),
    ]

    operations = [
        migrations.AddField(
            model_name="savedrecipe",
            name="base",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The recipe that its job began with; known when that job is deleted, too.",
                max_length=100,
            ),
            preserve_default=False,
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
