from django.db import migrations, models

FIELDS: dict[str, models.Field] = {
    "think_times": models.BooleanField(default=False, help_text="SWF: read fields 17 and 18, for a closed loop."),
    "flops": models.FloatField(null=True, blank=True, help_text="Batsim: flop/s of a host, for jobs that compute."),
}


class Migration(migrations.Migration):
    dependencies = [("tasks", "0015_feedback")]

    operations = [migrations.AddField("workloadimport", name, field) for name, field in FIELDS.items()]
