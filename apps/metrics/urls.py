"""Addresses of the pages of policies."""

from django.urls import path, re_path

from apps.metrics import views

urlpatterns = [
    path("policies/", views.policy_list, name="policy-list"),
    path("policies/<path:name>/", views.policy_detail, name="policy-detail"),
    re_path(r"^policy-charts/(?P<name>[^/]{1,100})\.json$", views.policy_charts),
    re_path(
        r"^policy-charts/(?P<name>[^/]{1,100})/(?P<key>[a-z-]+)\.(?P<kind>csv|json)$",
        views.policy_chart,
    ),
]
