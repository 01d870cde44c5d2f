"""Addresses of the start page and of the pages of runs."""

from django.urls import include, path, re_path

from apps.dashboard.answers import views as answer_views
from apps.dashboard.answers import what_if
from apps.dashboard.answers.advice import run_advice_page
from apps.dashboard.compare import views as comparison_views
from apps.dashboard.instants.views import run_at, run_at_frames, run_at_gantt
from apps.dashboard.lessons import views as lesson_views
from apps.dashboard.runs import list_views, views
from apps.dashboard.schedule.workflow_page import run_workflow
from apps.dashboard.search.views import search_page
from scheduler_sim.web.addresses import Addresses, charted, rows_of

GROUPS: Addresses = [
    *charted("run-groups", answer_views.run_groups, answer_views.run_groups_charts, answer_views.run_groups_chart),
    path("tasks/", answer_views.run_group_tasks, name="run-group-tasks"),
]

COMPARE = [
    *charted("compare", comparison_views.compare, comparison_views.compare_charts, comparison_views.compare_chart),
    path("paper.zip", comparison_views.compare_paper, name="compare-paper"),
]

RUN: Addresses = [
    *charted("run", views.run_detail, views.run_charts_json, views.run_chart, name="run-detail"),
    path("file/", list_views.run_file, name="run-file"),
    path("manifest.json", views.run_manifest_json, name="run-manifest"),
    path("advice/", run_advice_page, name="run-advice"),
    path("what-if/", what_if.run_what_if, name="run-what-if"),
    re_path(r"^what-if/(?P<command>change|play|keep|stop)/$", what_if.run_what_if_control, name="run-what-if-control"),
    path("at/", run_at, name="run-at"),
    path("at/frames.json", run_at_frames, name="run-at-frames"),
    path("at/gantt.<table:kind>", run_at_gantt, name="run-at-gantt"),
    path("at/<instant:time>/", run_at, name="run-at"),
    path("gantt.<table:kind>", views.run_gantt, name="run-gantt"),
    path("gantt.<picture:kind>", views.run_gantt_picture, name="run-gantt-picture"),
    path("series.<table:kind>", views.run_series, name="run-series"),
    path("workflow/", run_workflow, name="run-workflow"),
    path("groups/", include(GROUPS)),
    path("leaderboard.<table:kind>", views.run_leaderboard, name="run-leaderboard"),
    path("wins.<table:kind>", views.run_matrix, name="run-wins"),
    path("tasks/<int:number>/", comparison_views.run_task, name="run-task"),
    path("task/", comparison_views.run_task_choose, name="run-task-choose"),
]

RUNS: Addresses = [
    *rows_of("run", list_views.run_list, views.run_new, RUN),
    path("act/", list_views.runs_act, name="runs-act"),
    path("columns/", list_views.run_columns_keep, name="run-columns"),
    re_path(r"^(?P<pk>[0-9]{1,18})/(?P<command>pause|resume|stop|take-up)/$", views.run_control, name="run-control"),
]

LESSONS = rows_of(
    "lesson",
    lesson_views.lesson_list,
    lesson_views.lessons_install,
    lesson_views.lesson_page,
    making="install",
    key="<slug:name>",
)

urlpatterns = [
    path("", views.start, name="start"),
    path("search/", search_page, name="search"),
    path("runs/", include(RUNS)),
    path("compare/", include(COMPARE)),
    path("learn/", include(LESSONS)),
]
