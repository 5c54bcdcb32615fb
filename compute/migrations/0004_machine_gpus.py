import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('compute', '0003_ssh_machines'),
    ]

    operations = [
        migrations.AddField(
            model_name='machine',
            name='gpus',
            field=models.PositiveSmallIntegerField(blank=True, help_text='Empty: as many as were last measured.', null=True, verbose_name='GPUs'),
        ),
        migrations.AlterField(
            model_name='machine',
            name='slots',
            field=models.PositiveSmallIntegerField(default=1, help_text='Runs on the CPU at the same time.', validators=[django.core.validators.MinValueValidator(1)]),
        ),
    ]
