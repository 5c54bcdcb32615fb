from django.db import migrations


def make_versions(apps, schema_editor):
    """What a data set was, two files, becomes its first version."""
    Version = apps.get_model("datasets", "Version")
    for dataset in apps.get_model("datasets", "Dataset").objects.all():
        Version.objects.create(
            dataset=dataset, number=1, target=dataset.kind, state="ready", rows_train=dataset.rows,
            train_file=dataset.train_file, val_file=dataset.val_file,
        )


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0002_versions'),
    ]

    operations = [
        migrations.RunPython(make_versions, migrations.RunPython.noop),
    ]
