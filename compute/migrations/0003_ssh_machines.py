

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import platform_site.secrets
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('compute', '0002_machine_verl'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='machine',
            name='changed_at',
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AddField(
            model_name='machine',
            name='check_asked_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='machine',
            name='checked_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='machine',
            name='checks',
            field=models.JSONField(blank=True, default=list, help_text='What the last check found.'),
        ),
        migrations.AddField(
            model_name='machine',
            name='confirmed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='machine',
            name='confirmed_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='machine',
            name='facts',
            field=models.JSONField(blank=True, default=dict, help_text='What was last known of it.'),
        ),
        migrations.AddField(
            model_name='machine',
            name='fingerprint',
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.AddField(
            model_name='machine',
            name='host',
            field=models.CharField(blank=True, help_text='Name or address.', max_length=253),
        ),
        migrations.AddField(
            model_name='machine',
            name='host_key',
            field=models.TextField(blank=True, help_text='As it was confirmed; empty before that.'),
        ),
        migrations.AddField(
            model_name='machine',
            name='is_retired',
            field=models.BooleanField(default=False, help_text='Removed: kept for the history of its jobs.'),
        ),
        migrations.AddField(
            model_name='machine',
            name='jump_fingerprint',
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.AddField(
            model_name='machine',
            name='jump_host',
            field=models.CharField(blank=True, help_text='Reached first, when set.', max_length=253),
        ),
        migrations.AddField(
            model_name='machine',
            name='jump_host_key',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='machine',
            name='jump_port',
            field=models.PositiveIntegerField(default=22, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(65535)]),
        ),
        migrations.AddField(
            model_name='machine',
            name='jump_user',
            field=models.CharField(blank=True, help_text='Empty: the same user.', max_length=100),
        ),
        migrations.AddField(
            model_name='machine',
            name='port',
            field=models.PositiveIntegerField(default=22, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(65535)]),
        ),
        migrations.AddField(
            model_name='machine',
            name='seen_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='machine',
            name='unreachable_reason',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='machine',
            name='unreachable_since',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='machine',
            name='user',
            field=models.CharField(blank=True, help_text='An ordinary user is enough.', max_length=100),
        ),
        migrations.AlterField(
            model_name='machine',
            name='kind',
            field=models.CharField(choices=[('local', 'This machine'), ('ssh', 'SSH')], default='local', max_length=10),
        ),
        migrations.AlterField(
            model_name='machine',
            name='python',
            field=models.CharField(blank=True, help_text='The Python that has verl and trainyard_node.', max_length=500),
        ),
        migrations.CreateModel(
            name='SetUp',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('working', 'Working'), ('done', 'Done'), ('failed', 'Failed')], default='waiting', max_length=10)),
                ('step', models.CharField(blank=True, help_text='What is done now.', max_length=200)),
                ('log', models.TextField(blank=True, help_text='The last lines that it printed.')),
                ('error', models.TextField(blank=True)),
                ('asked_at', models.DateTimeField()),
                ('beat_at', models.DateTimeField(help_text='The last sign of life of the process that does it.')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('machine', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='set_up', to='compute.machine')),
            ],
            options={
                'ordering': ('-asked_at',),
            },
        ),
        migrations.CreateModel(
            name='MachineSecret',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(choices=[('password', 'Password'), ('private_key', 'Private key'), ('passphrase', 'Passphrase of the key'), ('jump_password', 'Password of the jump host'), ('jump_private_key', 'Private key of the jump host'), ('jump_passphrase', "Passphrase of the jump host's key")], max_length=20)),
                ('value', platform_site.secrets.EncryptedTextField()),
                ('set_at', models.DateTimeField()),
                ('machine', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='secrets', to='compute.machine')),
            ],
            options={
                'ordering': ('machine', 'name'),
                'constraints': [models.UniqueConstraint(fields=('machine', 'name'), name='machine_secret_once')],
            },
        ),
    ]
