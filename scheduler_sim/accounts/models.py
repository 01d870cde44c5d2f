"""API tokens."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class ApiToken(models.Model):
    """A key that stands for a user at the API and on live connections; the key itself is stored nowhere.

    A package that does this, django-rest-knox, knows neither names nor scopes and deletes what has expired when it is
    asked for, so nobody could be told why a key does not work any more.
    """

    class Scope(models.TextChoices):
        READ = "read", "read"
        CONTROL = "control", "read and control"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="What it is for.")
    scope = models.CharField(max_length=7, choices=Scope, default=Scope.READ)
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256 of the key.")
    beginning = models.CharField(max_length=6, editable=False, help_text="How the key begins, to know it by.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it never expires.")

    class Meta:
        ordering = ("-id",)
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.beginning}...)"

    @property
    def is_expired(self) -> bool:
        """True once its time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def may_control(self) -> bool:
        """True when whoever carries it may do whatever its user may, and not only read."""
        return self.scope == self.Scope.CONTROL
