import django.utils.timezone
from django.db import migrations, models

STATES = [
    ("waiting", "Waiting"), ("working", "Working"), ("done", "Done"), ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]


class Migration(migrations.Migration):

    dependencies = [
        ("compute", "0008_rental"),
    ]

    operations = [
        migrations.AddField(
            model_name="setup",
            name="cancel_asked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="setup",
            name="done",
            field=models.PositiveBigIntegerField(
                default=0, help_text="Bytes or rows, as the work counts."
            ),
        ),
        migrations.AddField(
            model_name="setup",
            name="total",
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="setup",
            name="who",
            field=models.CharField(
                blank=True, default="", help_text="The user that asked for it.", max_length=150
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="setup",
            name="asked_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AlterField(
            model_name="setup",
            name="beat_at",
            field=models.DateTimeField(
                default=django.utils.timezone.now, help_text="The last sign of life."
            ),
        ),
        migrations.AlterField(
            model_name="setup",
            name="state",
            field=models.CharField(
                choices=STATES, db_index=True, default="waiting", max_length=10
            ),
        ),
    ]
