from django.db import migrations


class Migration(migrations.Migration):
    # By itself: PostgreSQL drops no column of a table that waits for its foreign keys' checks.

    dependencies = [
        ('datasets', '0003_first_versions'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='dataset',
            name='kind',
        ),
        migrations.RemoveField(
            model_name='dataset',
            name='rows',
        ),
        migrations.RemoveField(
            model_name='dataset',
            name='train_file',
        ),
        migrations.RemoveField(
            model_name='dataset',
            name='val_file',
        ),
    ]
