"""Addresses of the pages of workloads and of the figures' definitions."""

from django.conf import settings
from django.urls import include, path
from django.views.generic import RedirectView

from apps.tasks import forecast_pages, site_making, site_pages, trial_pages, views
from scheduler_sim.web.addresses import charts_of

WORKLOAD = [
    path("", views.workload_detail, name="workload-detail"),
    *charts_of("workload", views.workload_charts, views.workload_chart),
]

TRIAL = [
    path("", trial_pages.trial_detail, name="forecast-trial"),
    *charts_of("forecast-trial", trial_pages.trial_charts_json, trial_pages.trial_chart),
]

WORKLOADS = [
    path("", views.workload_list, name="workload-list"),
    path("upload/", views.workload_upload, name="workload-upload"),
    path("imports/<int:pk>/", views.workload_import, name="workload-import"),
    path("<int:pk>/", include(WORKLOAD)),
]

SITES = [
    path("", site_pages.site_list, name="site-list"),
    path("compare/", site_pages.site_compare, name="site-compare"),
    path("upload/", site_making.site_upload, name="site-upload"),
    path("<path:name>/edit/", site_making.site_edit, name="site-edit"),
    path("<path:name>/site.yaml", site_pages.site_yaml, name="site-yaml"),
    path("<path:name>/", site_pages.site_detail, name="site-detail"),
]

TRIALS = [
    path("", trial_pages.trial_list, name="forecast-trial-list"),
    path("new/", trial_pages.trial_new, name="forecast-trial-new"),
    path("<int:pk>/", include(TRIAL)),
]

FORECASTS = [
    path("", forecast_pages.forecast_list, name="forecast-list"),
    path("new/", forecast_pages.forecast_new, name="forecast-new"),
    path("<int:pk>/", forecast_pages.forecast_detail, name="forecast-detail"),
    path("trials/", include(TRIALS)),
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
