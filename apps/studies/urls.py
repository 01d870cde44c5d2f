"""Addresses of the pages of studies."""

from django.urls import include, path, re_path

from apps.studies import views
from apps.studies.purchase import views as purchase_views
from scheduler_sim.web.addresses import charts_of

STUDY = [
    path("", views.study_detail, name="study-detail"),
    *charts_of("study", views.study_charts_json, views.study_chart),
    path("cells.<table:kind>", views.study_cells, name="study-cells"),
    path("paper.zip", views.study_paper_zip, name="study-paper"),
    path("report.<report:kind>", views.study_report, name="study-report"),
]

PURCHASE = [
    path("", purchase_views.purchase, name="purchase"),
    path("stop/", purchase_views.purchase_stop, name="purchase-stop"),
    *charts_of("purchase", purchase_views.purchase_charts, purchase_views.purchase_chart),
]

urlpatterns = [
    path("runs/<int:pk>/purchase/", purchase_views.run_purchase, name="run-purchase"),
    path("purchases/<int:pk>/", include(PURCHASE)),
    path("studies/", views.study_list, name="study-list"),
    path("studies/new/", views.study_new, name="study-new"),
    path("studies/<int:pk>/", include(STUDY)),
    re_path(r"^studies/(?P<pk>[0-9]{1,18})/(?P<command>play|stop)/$", views.study_control, name="study-control"),
]
