from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metrics", "0004_group_metrics")]

    operations = [
        *(
            migrations.AddField("metric", name, models.FloatField(null=True))
            for name in ("least_share", "max_rho", "mean_rho", "p95_rho", "share_fairness", "unfair_share")
        ),
        migrations.AlterField(
            "metric",
            "details",
            models.JSONField(
                default=dict, help_text="Of the whole run: histograms, fair shares, win/loss matrix, bounds, regret."
            ),
        ),
    ]
