"""Who asks, by the token that a request carries."""

import re
from typing import Any

from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from scheduler_sim.accounts.models import ApiToken
from scheduler_sim.accounts.services import KEY_BYTES, digest_of


class ApiTokenAuthentication(TokenAuthentication):
    """`Authorization: Token <key>`; what cannot be a key is refused without asking the database."""

    model = ApiToken

    def authenticate_credentials(self, key: str) -> tuple[Any, ApiToken]:
        """Return the user and the token of `key`.

        Raises:
            AuthenticationFailed: there is no such key, it has expired, or its user is not active.
        """
        token = None
        if re.fullmatch(f"[0-9a-f]{{{2 * KEY_BYTES}}}", key):
            token = ApiToken.objects.select_related("user").filter(digest=digest_of(key)).first()
        if token is None:
            raise AuthenticationFailed("There is no such token.")
        if not token.user.is_active:
            raise AuthenticationFailed("The user of this token is not active.")
        if token.is_expired:
            raise AuthenticationFailed(f"The token {token.name!r} expired on {token.expires_at:%Y-%m-%d %H:%M} UTC.")
        return token.user, token
