from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('calls', '0009_connection_lost'),
    ]

    operations = [
        ValidateConstraint(model_name='call', name='call_end_reason'),
    ]
