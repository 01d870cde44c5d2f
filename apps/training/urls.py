"""Addresses of the pages of learned models and of single policies, which show what they learned."""

from django.urls import include, path

from apps.training import new_views, policy_views, under_way, views
from scheduler_sim.web.addresses import charted

MODEL = [
    path("", views.model_detail, name="model-detail"),
    path("card.md", views.model_card, name="model-card"),
]

TRAINING = [
    *charted("training", views.training, views.training_charts, views.training_chart),
    path("new/", new_views.training_new, name="training-new"),
    path("models/<int:pk>/", include(MODEL)),
    path("jobs/<int:pk>/stop/", new_views.job_control, name="training-stop"),
]

urlpatterns = [
    path("training/", include(TRAINING)),
    path("training/under-way.json", under_way.under_way_json, name="training-under-way"),
    path("training/under-way/<slug:key>.<table:kind>", under_way.under_way_chart, name="training-under-way-chart"),
    path("policies/<path:name>/", policy_views.policy_detail, name="policy-detail"),
    path("policy-charts/<policy:name>.json", policy_views.policy_charts, name="policy-charts"),
    path("policy-charts/<policy:name>/<slug:key>.<table:kind>", policy_views.policy_chart, name="policy-chart"),
]
