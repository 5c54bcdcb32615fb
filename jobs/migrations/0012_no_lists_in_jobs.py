from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('jobs', '0011_artifacts_of_earlier_jobs'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='job',
            name='after_checkpoint',
        ),
        migrations.RemoveField(
            model_name='job',
            name='checkpoints',
        ),
        migrations.AlterField(
            model_name='job',
            name='listing_due',
            field=models.BooleanField(default=False, help_text='There may be a new checkpoint.'),
        ),
    ]
