"""Addresses of the start page and of the pages of runs."""

from django.urls import path, re_path

from apps.dashboard.answers import views as answer_views
from apps.dashboard.compare import views as comparison_views
from apps.dashboard.runs import views

urlpatterns = [
    path("", views.start, name="start"),
    path("runs/", views.run_list, name="run-list"),
    path("runs/new/", views.run_new, name="run-new"),
    path("runs/<int:pk>/", views.run_detail, name="run-detail"),
    path("runs/<int:pk>/manifest.json", views.run_manifest_json, name="run-manifest"),
    path("runs/<int:pk>/charts.json", views.run_charts_json, name="run-charts"),
    path("runs/<int:pk>/charts/<slug:key>.<table:kind>", views.run_chart, name="run-chart"),
    path("runs/<int:pk>/gantt.<table:kind>", views.run_gantt, name="run-gantt"),
    path("runs/<int:pk>/tasks/<int:number>/", comparison_views.run_task, name="run-task"),
    path("runs/<int:pk>/task/", comparison_views.run_task_choose, name="run-task-choose"),
    path("runs/<int:pk>/groups/", answer_views.run_groups, name="run-groups"),
    path("runs/<int:pk>/groups/charts.json", answer_views.run_groups_charts, name="run-groups-charts"),
    path("runs/<int:pk>/groups/charts/<slug:key>.<table:kind>", answer_views.run_groups_chart, name="run-groups-chart"),
    path("runs/<int:pk>/groups/tasks/", answer_views.run_group_tasks, name="run-group-tasks"),
    path("compare/", comparison_views.compare, name="compare"),
    path("compare/charts.json", comparison_views.compare_charts, name="compare-charts"),
    path("compare/charts/<slug:key>.<table:kind>", comparison_views.compare_chart, name="compare-chart"),
    path("runs/<int:pk>/leaderboard.<table:kind>", views.run_leaderboard, name="run-leaderboard"),
    path("runs/<int:pk>/wins.<table:kind>", views.run_matrix, name="run-wins"),
    re_path(
        r"^runs/(?P<pk>[0-9]{1,18})/(?P<command>pause|resume|stop|take-up)/$", views.run_control, name="run-control"
    ),
]
