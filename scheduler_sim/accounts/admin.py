"""The admin pages of API tokens and of the audit log."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from scheduler_sim.accounts.models import ApiToken, AuditEntry
from scheduler_sim.accounts.services import token_delete
from scheduler_sim.web.admin import ReadOnlyAdmin


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens of everybody, to look at and delete.

    Their holders make them at /accounts/, or whoever runs the site by `createtoken`: made here, a key would stand for
    somebody else, and pass through a message that is kept.
    """

    fields = ("user", "name", "scope", "expires_at")
    list_display = ("name", "beginning", "user", "scope", "created_at", "expires_at")
    list_filter = ("scope",)
    list_select_related = ("user",)
    raw_id_fields = ("user",)
    search_fields = ("name", "user__username", "=beginning")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse: what a key may do stays what its holder was told."""
        return False

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        """Delete one token."""
        token_delete(token=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Delete tokens."""
        for token in queryset:
            token_delete(token=token)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what, newest first; only `prune` deletes, the oldest."""

    list_display = ("happened_at", "name", "action", "kind", "subject", "source", "token", "address", "request_id")
    list_filter = ("action", "source", "kind")
    search_fields = ("=name", "=address", "=request_id", "subject")
    date_hierarchy = "happened_at"
