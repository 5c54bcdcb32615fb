from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('evaluations', '0002_adapter'),
    ]

    operations = [
        migrations.AddField(
            model_name='evaluation',
            name='higher_is_better',
            field=models.JSONField(blank=True, default=dict, help_text='Of a figure, whether more of it is better, as its evaluator said.'),
        ),
    ]
