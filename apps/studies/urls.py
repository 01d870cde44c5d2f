"""Addresses of the pages of studies."""

from django.urls import path, re_path

from apps.studies import views

urlpatterns = [
    path("studies/", views.study_list, name="study-list"),
    path("studies/new/", views.study_new, name="study-new"),
    path("studies/<int:pk>/", views.study_detail, name="study-detail"),
    path("studies/<int:pk>/charts.json", views.study_charts_json, name="study-charts"),
    path(
        "studies/<int:pk>/charts/<slug:key>.<table:kind>",
        views.study_chart,
        name="study-chart",
    ),
    path("studies/<int:pk>/cells.<table:kind>", views.study_cells, name="study-cells"),
    path("studies/<int:pk>/report.<report:kind>", views.study_report, name="study-report"),
    re_path(r"^studies/(?P<pk>[0-9]{1,18})/(?P<command>play|stop)/$", views.study_control, name="study-control"),
]
