import django.db.models.deletion
from django.db import migrations, models


def fill_needs(apps, schema_editor):
    """What the jobs that are there need. Those that run on GPUs use the first ones."""
    Job, Lease = apps.get_model('jobs', 'Job'), apps.get_model('jobs', 'Lease')
    for job in Job.objects.order_by('started_at', 'pk').iterator():
        values = job.spec.get('values', {})
        job.gpus = int(values.get('gpus') or 1) if values.get('device') == 'cuda' else 0
        job.save(update_fields=['gpus'])
        if job.gpus and job.status in ('starting', 'running'):
            taken = set(Lease.objects.filter(machine=job.machine).values_list('device', flat=True))
            free = [device for device in range(len(taken) + job.gpus) if device not in taken]
            for device in free[:job.gpus]:
                Lease.objects.create(job=job, machine_id=job.machine_id, device=device)


class Migration(migrations.Migration):

    dependencies = [
        ('compute', '0004_machine_gpus'),
        ('jobs', '0004_pause_and_resume'),
    ]

    operations = [
        migrations.AddField(
            model_name='job',
            name='after_checkpoint',
            field=models.BooleanField(default=False, help_text='Train on from what the job before it has saved.'),
        ),
        migrations.AddField(
            model_name='job',
            name='gpus',
            field=models.PositiveSmallIntegerField(default=0, help_text='Devices that it needs; 0 is a slot of the CPU.'),
        ),
        migrations.AddField(
            model_name='job',
            name='held_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='held_by',
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AddField(
            model_name='job',
            name='held_why',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='job',
            name='position',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='priority',
            field=models.SmallIntegerField(choices=[(10, 'High'), (0, 'Normal'), (-10, 'Low')], default=0),
        ),
        migrations.CreateModel(
            name='Lease',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('device', models.PositiveSmallIntegerField()),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='leases', to='jobs.job')),
                ('machine', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='leases', to='compute.machine')),
            ],
            options={
                'ordering': ('machine', 'device'),
                'constraints': [models.UniqueConstraint(fields=('machine', 'device'), name='device_leased_once')],
            },
        ),
        migrations.RunPython(fill_needs, migrations.RunPython.noop),
    ]
