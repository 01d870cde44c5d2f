"""Questions asked of metrics."""

from django.db import models


class MetricQuerySet(models.QuerySet):
    """Windows of figures."""

    def totals(self) -> "MetricQuerySet":
        """Only the windows that are whole runs."""
        return self.filter(is_total=True)

    def windows(self) -> "MetricQuerySet":
        """Only the windows that make up the time series."""
        return self.filter(is_total=False)
