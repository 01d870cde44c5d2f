"""Addresses of the pages of studies."""

from django.urls import include, path, re_path

from apps.studies import views
from apps.studies.purchase import views as purchase_views
from scheduler_sim.web.addresses import charted, rows_of

STUDY = [
    *charted("study", views.study_detail, views.study_charts_json, views.study_chart, name="study-detail"),
    path("cells.<table:kind>", views.study_cells, name="study-cells"),
    path("paper.zip", views.study_paper_zip, name="study-paper"),
    path("report.<report:kind>", views.study_report, name="study-report"),
]

PURCHASE = [
    *charted("purchase", purchase_views.purchase, purchase_views.purchase_charts, purchase_views.purchase_chart),
    path("stop/", purchase_views.purchase_stop, name="purchase-stop"),
]

STUDIES = [
    *rows_of("study", views.study_list, views.study_new, STUDY),
    re_path(r"^(?P<pk>[0-9]{1,18})/(?P<command>play|stop)/$", views.study_control, name="study-control"),
]

urlpatterns = [
    path("runs/<int:pk>/purchase/", purchase_views.run_purchase, name="run-purchase"),
    path("purchases/<int:pk>/", include(PURCHASE)),
    path("studies/", include(STUDIES)),
]
