"""Typed reading of settings from the environment: a wrong value is one plain sentence at start."""

import contextlib
import os
import re
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured

_RATE = r"[1-9][0-9]{0,8}/[1-9]?[0-9]{0,4}[smhd]"
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}

serving = False
"""True in a process that serves requests (set by asgi.py before the settings are read): it alone gets a pool."""


def text(name: str, default: str = "") -> str:
    """Return the variable `name`, without surrounding blanks."""
    return os.environ.get(name, default).strip()


def boolean(name: str, *, default: bool) -> bool:
    """Return a yes-or-no variable.

    Raises:
        ImproperlyConfigured: a value that is neither.
    """
    raw = os.environ.get(name)
    if raw is None:
        return default
    value = raw.strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0 (also true/false, yes/no, on/off), not {raw!r}.")


def integer(name: str, default: int, *, minimum: int = 0) -> int:
    """Return a whole number of at least `minimum`.

    Raises:
        ImproperlyConfigured: not a whole number, or below the minimum.
    """
    raw = os.environ.get(name)
    if raw is None:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {raw!r}.") from None
    if value < minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}, not {value}.")
    return value


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return a comma-separated list."""
    raw = os.environ.get(name)
    if raw is None:
        return list(default)
    return [word.strip() for word in raw.split(",") if word.strip()]


def one_of(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return a variable that must be one of `choices`.

    Raises:
        ImproperlyConfigured: any other value.
    """
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def url(name: str, schemes: tuple[str, ...]) -> str:
    """Return an address whose scheme is one of `schemes`, or an empty text when it is not set.

    Raises:
        ImproperlyConfigured: an address of another scheme.
    """
    value = text(name)
    scheme = value.partition("://")[0] if "://" in value else value.partition(":")[0]
    if value and scheme not in schemes:
        raise ImproperlyConfigured(f"{name} must start with {' or '.join(f'{known}://' for known in schemes)}.")
    return value


def secret(name: str, fallback: Path) -> str:
    """Return a secret from the environment, else from the file `fallback`, made on first use.

    The file is created readable by its owner alone, so that a checkout runs at once and no secret is committed.
    """
    if value := text(name):
        return value
    try:
        return fallback.read_text().strip()
    except FileNotFoundError:
        fallback.parent.mkdir(parents=True, exist_ok=True)
    made = fallback.with_name(f"{fallback.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(50))
    # It appears with its content at once: of several processes that start together all take what the first one made.
    with contextlib.suppress(FileExistsError):
        fallback.hardlink_to(made)
    made.unlink()
    return fallback.read_text().strip()


@overload
def folder(name: str, default: Path) -> Path: ...


@overload
def folder(name: str, default: None = None, *, is_made: bool = True) -> Path | None: ...


def folder(name: str, default: Path | None = None, *, is_made: bool = True) -> Path | None:
    """Return a folder; None where none is named and there is no default.

    Args:
        is_made: whether it is made where it does not exist; not so one that other machines share, which may only not be
            mounted here.

    Raises:
        ImproperlyConfigured: it cannot be made, is not there, or nothing can be written there.
    """
    value = text(name)
    path = Path(value) if value else default
    if path is None:
        return None
    try:
        if not is_made and not path.is_dir():
            raise ImproperlyConfigured(
                f"{name} must name a folder that is there; {str(path)!r} is not: make it, or mount what it lies on."
            )
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImproperlyConfigured(f"{name} must name a folder; {str(path)!r} cannot be made: {reason}.") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"{name} must name a folder that can be written to; {str(path)!r} cannot.")
    return path


def time_zone(name: str, default: str) -> str:
    """Return the name of a time zone.

    Raises:
        ImproperlyConfigured: there is no such zone.
    """
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ImproperlyConfigured(f"{name} must be a time zone such as UTC or Europe/Berlin, not {value!r}.") from None
    return value


def rate(name: str, default: str) -> str | None:
    """Return a rate such as `120/m`, or None for `off`: so many requests a second, minute, hour or day.

    Raises:
        ImproperlyConfigured: any other value.
    """
    value = text(name, default)
    if value.lower() == "off":
        return None
    if not re.fullmatch(_RATE, value):
        raise ImproperlyConfigured(f"{name} must be a rate such as 120/m, 5/s or 1000/h, or off, not {value!r}.")
    return value


def rates(name: str, default: str) -> tuple[str, ...]:
    """Return rates that hold together, such as `10/m,30/15m`, with commas between them; none for `off`.

    Raises:
        ImproperlyConfigured: an entry that is no rate.
    """
    value = text(name, default)
    if value.lower() == "off":
        return ()
    found = tuple(word.strip() for word in value.split(","))
    if wrong := [word for word in found if not re.fullmatch(_RATE, word)]:
        raise ImproperlyConfigured(f"{name} must list rates such as 10/m,30/15m, or be off; {wrong[0]!r} is none.")
    return found


def networks(name: str, default: tuple[str, ...] = ()) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return a comma-separated list of addresses and networks in CIDR notation.

    Raises:
        ImproperlyConfigured: an entry that is neither.
    """
    try:
        return tuple(ip_network(word) for word in words(name, default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must list addresses or networks such as 10.0.0.0/8: {error}.") from None


def origins(name: str) -> list[str]:
    """Return a comma-separated list of origins such as `https://example.org`.

    Raises:
        ImproperlyConfigured: an entry without a scheme, or with a path.
    """
    values = words(name)
    for value in values:
        if not re.fullmatch(r"https?://[^/\s]+", value):
            raise ImproperlyConfigured(f"{name} must list origins such as https://example.org, not {value!r}.")
    return values
