"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path, register_converter

from apps.metrics.health import health, ready
from apps.metrics.prometheus import metrics
from scheduler_sim.accounts.sign_in import limited_login
from scheduler_sim.web.converters import InstantOfRun, PictureFormat, PolicyName, ReportFormat, TableFormat

admin.autodiscover()
admin.site.site_header = admin.site.site_title = "Scheduler Sim"
admin.site.index_title = "Stored data"

handler400 = "scheduler_sim.web.errors.bad_request"
handler403 = "scheduler_sim.web.errors.permission_denied"
handler404 = "scheduler_sim.web.errors.page_not_found"
handler500 = "scheduler_sim.web.errors.server_error"

# Before the apps' addresses are read.
register_converter(PolicyName, "policy")
register_converter(TableFormat, "table")
register_converter(ReportFormat, "report")
register_converter(PictureFormat, "picture")
register_converter(InstantOfRun, "instant")

urlpatterns = [
    path("health", health, name="health"),
    path("ready", ready, name="ready"),
    path("metrics", metrics, name="prometheus"),
    path("api/", include("scheduler_sim.api_urls")),
    path("admin/login/", limited_login(admin.site.login)),
    path("accounts/", include("scheduler_sim.accounts.urls")),
    path("admin/", admin.site.urls),
    path("", include("apps.tasks.urls")),
    path("", include("apps.metrics.urls")),
    path("", include("apps.training.urls")),
    path("", include("apps.studies.urls")),
    path("", include("apps.dashboard.urls")),
]
