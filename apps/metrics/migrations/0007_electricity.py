from django.db import migrations, models

FIELDS = {
    "metric": ["carbon_kg", "electricity_usd", "idle_carbon_kg", "idle_electricity_usd", "over_cap_time"],
    "groupmetric": ["carbon_kg", "cost_usd", "electricity_usd", "energy_joules"],
}


class Migration(migrations.Migration):
    dependencies = [
        ("metrics", "0006_in_front"),
    ]

    operations = [
        migrations.AddField(model_name=model, name=name, field=models.FloatField(null=True))
        for model, names in FIELDS.items()
        for name in names
    ]
