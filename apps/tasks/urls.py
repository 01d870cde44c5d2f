"""Addresses of the pages of workloads and of the figures' definitions."""

from django.conf import settings
from django.urls import include, path
from django.views.generic import RedirectView

from apps.tasks import views
from apps.tasks.forecasts import pages as forecast_pages
from apps.tasks.forecasts import trial_pages
from apps.tasks.sites import making as site_making
from apps.tasks.sites import pages as site_pages
from scheduler_sim.web.addresses import charted, rows_of

WORKLOAD = charted(
    "workload", views.workload_detail, views.workload_charts, views.workload_chart, name="workload-detail"
)

WORKLOADS = [
    *rows_of("workload", views.workload_list, views.workload_upload, WORKLOAD, making="upload"),
    path("imports/<int:pk>/", views.workload_import, name="workload-import"),
]

SITES = [
    path("compare/", site_pages.site_compare, name="site-compare"),
    path("<path:name>/edit/", site_making.site_edit, name="site-edit"),
    path("<path:name>/site.yaml", site_pages.site_yaml, name="site-yaml"),
    *rows_of(
        "site",
        site_pages.site_list,
        site_making.site_upload,
        site_pages.site_detail,
        making="upload",
        key="<path:name>",
    ),
]

TRIAL = charted("forecast-trial", trial_pages.trial_detail, trial_pages.trial_charts_json, trial_pages.trial_chart)

FORECASTS = [
    *rows_of("forecast", forecast_pages.forecast_list, forecast_pages.forecast_new, forecast_pages.forecast_detail),
    path("trials/", include(rows_of("forecast-trial", trial_pages.trial_list, trial_pages.trial_new, TRIAL))),
]

urlpatterns = [
    path("workloads/", include(WORKLOADS)),
    path("sites/", include(SITES)),
    path("forecasts/", include(FORECASTS)),
    path("help/metrics/", views.help_metrics, name="help-metrics"),
    path("theme/", views.theme, name="theme"),
    # Browsers ask for it on pages that name no icon: the admin's and the API's.
    path("favicon.ico", RedirectView.as_view(url=f"/{settings.STATIC_URL.strip('/')}/favicon.svg", permanent=True)),
]
