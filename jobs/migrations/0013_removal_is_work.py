import django.utils.timezone
from django.db import migrations, models
from django.db.models import Case, Q, Value, When

STATES = [
    ("waiting", "Waiting"), ("working", "Working"), ("done", "Done"), ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]


def give_states(apps, schema_editor):
    """Where a deletion stood was told by its times."""
    apps.get_model("jobs", "Removal").objects.update(
        state=Case(
            When(Q(ended_at__isnull=False) & ~Q(error=""), then=Value("failed")),
            When(ended_at__isnull=False, then=Value("done")),
            When(begun_at__isnull=False, then=Value("working")),
            default=Value("waiting"),
        )
    )


class Migration(migrations.Migration):

    dependencies = [
        ("jobs", "0012_no_lists_in_jobs"),
    ]

    operations = [
        migrations.AddField(
            model_name="removal",
            name="state",
            field=models.CharField(
                choices=STATES, db_index=True, default="waiting", max_length=10
            ),
        ),
        migrations.AddField(
            model_name="removal",
            name="done",
            field=models.PositiveBigIntegerField(
                default=0, help_text="Bytes or rows, as the work counts."
            ),
        ),
        migrations.AddField(
            model_name="removal",
            name="total",
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="removal",
            name="cancel_asked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.RunPython(give_states, migrations.RunPython.noop),
        migrations.RemoveField(model_name="removal", name="begun_at"),
        migrations.AlterField(
            model_name="removal",
            name="asked_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AlterField(
            model_name="removal",
            name="beat_at",
            field=models.DateTimeField(
                default=django.utils.timezone.now, help_text="The last sign of life."
            ),
        ),
        migrations.AlterField(
            model_name="removal",
            name="who",
            field=models.CharField(
                blank=True, help_text="The user that asked for it.", max_length=150
            ),
        ),
    ]
