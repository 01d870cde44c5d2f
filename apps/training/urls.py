"""Address of the page of learned models."""

from django.urls import path, re_path

from apps.training import views

urlpatterns = [
    path("training/", views.training, name="training"),
    path("training/charts.json", views.training_charts, name="training-charts"),
    re_path(r"^training/charts/(?P<key>[a-z-]+)\.(?P<kind>csv|json)$", views.training_chart, name="training-chart"),
]
