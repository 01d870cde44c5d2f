"""The admin pages of API tokens and of the audit log."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from scheduler_sim.accounts.models import ApiToken, AuditEntry
from scheduler_sim.accounts.services import MOST_TOKENS, token_create, token_delete
from scheduler_sim.web.admin import ReadOnlyAdmin


class ApiTokenForm(ModelForm):
    """What an administrator says of a new token."""

    def clean_user(self) -> Any:
        """Refuse one token too many."""
        user = self.cleaned_data["user"]
        if user.api_tokens.count() >= MOST_TOKENS:
            raise ValidationError(f"{user.get_username()} has {MOST_TOKENS} tokens; delete one first.")
        return user


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens of everybody: made, with their key shown once, and deleted."""

    form = ApiTokenForm
    fields = ("user", "name", "scope", "expires_at")
    list_display = ("name", "beginning", "user", "scope", "created_at", "expires_at")
    list_filter = ("scope",)
    list_select_related = ("user",)
    raw_id_fields = ("user",)
    search_fields = ("name", "user__username", "=beginning")
    date_hierarchy = "created_at"

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse: what a key may do stays what its holder was told."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Make the token, and show its key."""
        token, key = token_create(user=obj.user, name=obj.name, scope=obj.scope, expires_at=obj.expires_at)
        obj.pk = token.pk
        self.message_user(request, f"The key, which is not shown again: {key}", messages.WARNING)

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
