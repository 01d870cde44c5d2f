from django.db import migrations


class Migration(migrations.Migration):
    """Drop what nothing reads: learned models have the time of each version, and spill files are found by their names."""

    dependencies = [("live", "0003_jobs")]

    operations = [migrations.RemoveField("simulationstate", name) for name in ("checkpoint", "last_retrain_at")]
