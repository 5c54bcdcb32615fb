import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.models import Case, F, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce

MODELS = ("source", "version", "report")
STATES = [
    ("waiting", "Waiting"), ("working", "Working"), ("done", "Done"), ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]


def carry_over(apps, schema_editor):
    """Times and names as all long work keeps them; what was ready is done."""
    users = apps.get_model(*settings.AUTH_USER_MODEL.split(".")).objects.filter(pk=OuterRef("asker"))
    beat_at = Coalesce("beat_at", "created_at")
    for name in MODELS:
        # In one UPDATE: PostgreSQL changes no table whose rows were changed twice before.
        apps.get_model("datasets", name).objects.update(
            who=Coalesce(Subquery(users.values("username")[:1]), Value("")),
            state=Case(When(state="ready", then=Value("done")), default="state"),
            asked_at=F("created_at"),
            beat_at=beat_at,
            cancel_asked_at=Case(When(cancel_asked=True, then=beat_at)),
        )


def operations_before(name):
    return [
        migrations.RenameField(name, "who", "asker"),
        migrations.AddField(
            model_name=name,
            name="who",
            field=models.CharField(
                blank=True, default="", help_text="The user that asked for it.", max_length=150
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name=name,
            name="asked_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AddField(
            model_name=name,
            name="cancel_asked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]


def operations_after(name):
    return [
        migrations.RemoveField(model_name=name, name="asker"),
        migrations.RemoveField(model_name=name, name="cancel_asked"),
        migrations.AlterField(
            model_name=name,
            name="beat_at",
            field=models.DateTimeField(
                default=django.utils.timezone.now, help_text="The last sign of life."
            ),
        ),
        migrations.AlterField(
            model_name=name,
            name="done",
            field=models.PositiveBigIntegerField(
                default=0, help_text="Bytes or rows, as the work counts."
            ),
        ),
        migrations.AlterField(
            model_name=name,
            name="state",
            field=models.CharField(
                choices=STATES, db_index=True, default="waiting", max_length=10
            ),
        ),
    ]


class Migration(migrations.Migration):

    dependencies = [
        ("datasets", "0004_remove_files"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        *(operation for name in MODELS for operation in operations_before(name)),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        *(operation for name in MODELS for operation in operations_after(name)),
    ]
