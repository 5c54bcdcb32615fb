import django.utils.timezone
from django.db import migrations, models

STATES = [
    ("waiting", "Waiting"), ("working", "Working"), ("done", "Done"), ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]


def forget_unknown_totals(apps, schema_editor):
    """A total that nobody knows yet was 0, and is empty from now on."""
    apps.get_model("jobs", "Fetch").objects.filter(total=0).update(total=None)


class Migration(migrations.Migration):

    dependencies = [
        ("jobs", "0007_rental_and_machine_users"),
    ]

    operations = [
        migrations.RenameField("fetch", "bytes_done", "done"),
        migrations.RenameField("fetch", "bytes_total", "total"),
        migrations.AlterField(
            model_name="fetch",
            name="done",
            field=models.PositiveBigIntegerField(
                default=0, help_text="Bytes or rows, as the work counts."
            ),
        ),
        migrations.AlterField(
            model_name="fetch",
            name="total",
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.RunPython(forget_unknown_totals, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="fetch",
            name="asked_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AlterField(
            model_name="fetch",
            name="beat_at",
            field=models.DateTimeField(
                default=django.utils.timezone.now, help_text="The last sign of life."
            ),
        ),
        migrations.AlterField(
            model_name="fetch",
            name="state",
            field=models.CharField(
                choices=STATES, db_index=True, default="waiting", max_length=10
            ),
        ),
        migrations.AlterField(
            model_name="fetch",
            name="who",
            field=models.CharField(
                blank=True, help_text="The user that asked for it.", max_length=150
            ),
        ),
    ]
