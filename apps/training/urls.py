"""Addresses of the pages of learned models and of single policies, which show what they learned."""

from django.urls import path, re_path

from apps.training import new_views, policy_views, under_way, views

_CHART = r"(?P<key>[a-z0-9-]+)\.(?P<kind>csv|json)$"

urlpatterns = [
    path("training/", views.training, name="training"),
    path("training/new/", new_views.training_new, name="training-new"),
    path("training/jobs/<int:pk>/stop/", new_views.job_control, name="training-stop"),
    path("training/charts.json", views.training_charts, name="training-charts"),
    re_path(r"^training/charts/" + _CHART, views.training_chart, name="training-chart"),
    path("training/under-way.json", under_way.under_way_json, name="training-under-way"),
    re_path(r"^training/under-way/" + _CHART, under_way.under_way_chart, name="training-under-way-chart"),
    path("policies/<path:name>/", policy_views.policy_detail, name="policy-detail"),
    re_path(r"^policy-charts/(?P<name>[^/]{1,100})\.json$", policy_views.policy_charts, name="policy-charts"),
    re_path(r"^policy-charts/(?P<name>[^/]{1,100})/" + _CHART, policy_views.policy_chart, name="policy-chart"),
]
