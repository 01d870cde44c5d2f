"""Every address below /api/."""

from django.urls import URLPattern, include, path
from rest_framework.routers import SimpleRouter

from apps.live.api import RunViewSet, StatusView
from apps.live.placements_api import PlacementViewSet
from apps.metrics.api import GroupMetricViewSet, HistoryView, LatestView, LeaderboardView, MetricViewSet
from apps.results.api import (
    AttemptViewSet,
    ClusterList,
    FidelityViewSet,
    PolicyList,
    StudyViewSet,
)
from apps.studies.purchase.asking import PurchaseView
from apps.tasks.api import TaskViewSet, WorkloadImportViewSet, WorkloadViewSet
from apps.tasks.forecasts.api import ForecastViewSet
from apps.tasks.forecasts.trial_api import ForecastTrialViewSet
from apps.tasks.sites.api import SiteViewSet
from apps.training.api import PolicySearchView, TrainedModelViewSet, TrainingDataViewSet, TrainingView
from scheduler_sim.accounts.api import AuditEntryViewSet
from scheduler_sim.background.api import JobViewSet
from scheduler_sim.web.index import IndexView
from scheduler_sim.web.schema import DocsView, SchemaView

router = SimpleRouter()
router.register("workloads", WorkloadViewSet, "workload")
router.register("imports", WorkloadImportViewSet, "import")
router.register("tasks", TaskViewSet, "task")
router.register("sites", SiteViewSet, "site")
router.register("forecasts", ForecastViewSet, "forecast")
router.register("forecast-trials", ForecastTrialViewSet, "forecast-trial")
router.register("runs", RunViewSet, "run")
router.register("studies", StudyViewSet, "study")
router.register("fidelities", FidelityViewSet, "fidelity")
router.register("results", PlacementViewSet, "result")
router.register("attempts", AttemptViewSet, "attempt")
router.register("jobs", JobViewSet, "job")
router.register("metrics", MetricViewSet, "metric")
router.register("groups", GroupMetricViewSet, "group")
router.register("audit", AuditEntryViewSet, "audit")
router.register("training-data", TrainingDataViewSet, "training-data")
router.register("models", TrainedModelViewSet, "model")

# What is asked most comes first: an address is compared with one pattern after the other.
v1 = [
    path("leaderboard/", LeaderboardView.as_view(), name="leaderboard"),
    path("history/", HistoryView.as_view(), name="history"),
    path("history/latest/", LatestView.as_view(), name="history-latest"),
    path("status/", StatusView.as_view(), name="status"),
    path("policies/", PolicyList.as_view(), name="policy-list"),
    path("trainings/", TrainingView.as_view(), name="training"),
    path("policy-searches/", PolicySearchView.as_view(), name="policy-search"),
    path("purchases/", PurchaseView.as_view(), name="purchase"),
    path("clusters/", ClusterList.as_view(), name="cluster-list"),
    *router.urls,
]

v1.append(
    path(
        "",
        IndexView.as_view(
            names=tuple(str(one.name) for one in v1 if isinstance(one, URLPattern) and not one.pattern.regex.groups)
        ),
        name="index",
    )
)

urlpatterns = [
    path("v1/", include((v1, "api"))),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(), name="api-docs"),
]
