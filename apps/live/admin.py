"""Admin pages of the state of running simulations, from which they are controlled, and of studies."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.live.models import RaceHistory, SimulationState, StudyState, WhatIf
from apps.live.play.launch import run_command
from apps.results.errors import DomainError
from scheduler_sim.web.admin import ReadOnlyAdmin


class OfRunAdmin(ReadOnlyAdmin):
    """Rows that each belong to a run."""

    list_select_related = ("run",)
    search_fields = ("run__name",)


@admin.register(SimulationState)
class SimulationStateAdmin(OfRunAdmin):
    """What each run says of itself; pausing, resuming and stopping go through the same service as the API."""

    list_display = ("run", "status", "command", "clock_time", "heartbeat_at", "host", "process_id")
    list_filter = ("run__status",)
    date_hierarchy = "run__created_at"
    ordering = ("-run_id",)
    actions = ("pause", "resume", "stop")

    @admin.display(description="status", ordering="run__status")
    def status(self, state: SimulationState) -> str:
        """Return the run's status."""
        return state.run.status

    def has_control_permission(self, request: HttpRequest) -> bool:
        """Return whether the person may control runs."""
        return request.user.has_perm("results.control_run")

    @admin.action(description="Pause the selected runs", permissions=["control"])
    def pause(self, request: HttpRequest, states: QuerySet) -> None:
        """Ask each selected run to pause."""
        self._command(request, states, "pause")

    @admin.action(description="Resume the selected runs", permissions=["control"])
    def resume(self, request: HttpRequest, states: QuerySet) -> None:
        """Ask each selected run to go on."""
        self._command(request, states, "resume")

    @admin.action(description="Stop the selected runs", permissions=["control"])
    def stop(self, request: HttpRequest, states: QuerySet) -> None:
        """Ask each selected run to stop."""
        self._command(request, states, "stop")

    def _command(self, request: HttpRequest, states: QuerySet, command: str) -> None:
        for state in states.select_related("run"):
            try:
                run_command(run=state.run, command=command)
            except DomainError as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"Asked run {state.run.name} to {command}.")


@admin.register(StudyState)
class StudyStateAdmin(ReadOnlyAdmin):
    """Which process stores the runs of each study."""

    list_display = ("study", "heartbeat_at", "host", "process_id")
    list_select_related = ("study",)
    search_fields = ("study__name",)
    date_hierarchy = "study__created_at"
    ordering = ("-study_id",)


@admin.register(WhatIf)
class WhatIfAdmin(OfRunAdmin):
    """What would change if runs were played otherwise."""

    list_display = ("__str__", "run", "seconds", "created_at")
    date_hierarchy = "created_at"


@admin.register(RaceHistory)
class RaceHistoryAdmin(OfRunAdmin):
    """What races that go on came to so far."""

    list_display = ("run",)
    date_hierarchy = "run__created_at"
    ordering = ("-run_id",)
