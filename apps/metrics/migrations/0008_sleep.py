from django.db import migrations, models

FIELDS = ["asleep_time", "saved_joules", "wakes", "woken_starts"]


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0007_electricity"),
    ]

    operations = [
        migrations.AddField(model_name="metric", name=name, field=models.FloatField(null=True)) for name in FIELDS
    ]
