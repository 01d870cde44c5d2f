"""The audit log over HTTP, for staff."""

import django_filters
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.web.api import RowsViewSet, columns_of
from scheduler_sim.web.filters import IntegerFilter, MomentFilter


class StaffWhoMayRead(BasePermission):
    """Staff who may look at the log in the admin may do so here."""

    message = "This is for staff with the permission “Can view audit entry”."

    def has_permission(self, request: Request, view: object) -> bool:
        """Return whether the person may do this."""
        user = request.user
        return request.method in SAFE_METHODS and user.is_staff and user.has_perm("accounts.view_auditentry")


class AuditEntrySerializer(serializers.ModelSerializer):
    """One thing that somebody did."""

    class Meta:
        model = AuditEntry
        fields = read_only_fields = columns_of(AuditEntry, but=("user",))


class AuditEntryFilterSet(django_filters.FilterSet):
    """Which entries a list holds."""

    name = django_filters.CharFilter(help_text="The user, or the account of a command.")
    action = django_filters.MultipleChoiceFilter(choices=AuditEntry.Action)
    kind = django_filters.CharFilter()
    subject_id = IntegerFilter(help_text="Key of what it was done to.")
    since = MomentFilter(field_name="happened_at", lookup_expr="gte")
    until = MomentFilter(field_name="happened_at", lookup_expr="lt")


class AuditEntryViewSet(RowsViewSet):
    """Who did what, newest first; for staff."""

    permission_classes = (StaffWhoMayRead,)
    serializer_class = AuditEntrySerializer
    filterset_class = AuditEntryFilterSet
