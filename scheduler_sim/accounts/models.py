"""API tokens, and the log of who did what."""

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


class AuditEntry(models.Model):
    """One thing that somebody did, when, and from where; it is written by `audit.record` alone and never changed."""

    class Action(models.TextChoices):
        SIGN_IN = "sign_in", "signed in"
        SIGN_IN_FAILED = "sign_in_failed", "failed to sign in"
        SIGN_OUT = "sign_out", "signed out"
        PASSWORD = "password", "changed the password"
        CREATE = "create", "made"
        START = "start", "started"
        PAUSE = "pause", "paused"
        RESUME = "resume", "resumed"
        STOP = "stop", "stopped"
        TAKE_UP = "take_up", "took up"
        UPLOAD = "upload", "uploaded"
        EXPORT = "export", "exported"
        DELETE = "delete", "deleted"
        CHANGE = "change", "changed"
        ARCHIVE = "archive", "archived"
        RESTORE = "restore", "restored"

    class Source(models.TextChoices):
        SITE = "site", "the site"
        COMMAND = "command", "a command"

    happened_at = models.DateTimeField(auto_now_add=True, db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    name = models.CharField(
        max_length=150, blank=True, help_text="The user's, or of a command its account; empty for somebody unknown."
    )
    token = models.CharField(max_length=100, blank=True, help_text="Name of the API token that was used, if any.")
    source = models.CharField(max_length=7, choices=Source)
    address = models.CharField(max_length=45, blank=True, help_text="Where the request came from.")
    request_id = models.CharField(max_length=64, blank=True, help_text="As in the log.")
    action = models.CharField(max_length=14, choices=Action)
    kind = models.CharField(max_length=20, blank=True, help_text="Of what it was done to: a run, a study, a file.")
    subject_id = models.BigIntegerField(null=True, blank=True, help_text="Its key.")
    subject = models.CharField(max_length=255, blank=True, help_text="Its name.")

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        words = (self.name or "somebody", self.get_action_display(), self.kind, self.subject)
        return " ".join(word for word in words if word)
