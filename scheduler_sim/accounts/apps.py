"""The app of people's access."""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed


class AccountsConfig(AppConfig):
    """Signing in, tokens, and the log of who did what."""

    name = "scheduler_sim.accounts"

    def ready(self) -> None:
        """Record who signs in and out, and which accounts and tokens are deleted."""
        from django.contrib.auth.models import User

        from scheduler_sim.accounts import audit
        from scheduler_sim.accounts.models import ApiToken

        def signed_in(user: Any, **_: Any) -> None:
            audit.record(audit.Action.SIGN_IN, user_id=user.pk, name=user.get_username())

        def signed_out(user: Any, **_: Any) -> None:
            if user is not None:
                audit.record(audit.Action.SIGN_OUT, user_id=user.pk, name=user.get_username())

        def failed(credentials: dict[str, Any], **_: Any) -> None:
            # The name that was typed; there may be nobody of that name.
            audit.record(audit.Action.SIGN_IN_FAILED, user_id=None, name=str(credentials.get("username", "")))

        user_logged_in.connect(signed_in, weak=False, dispatch_uid="audit of sign-ins")
        user_logged_out.connect(signed_out, weak=False, dispatch_uid="audit of sign-outs")
        user_login_failed.connect(failed, weak=False, dispatch_uid="audit of failed sign-ins")
        audit.record_deletions(User, "user")
        audit.record_deletions(ApiToken, "token")
