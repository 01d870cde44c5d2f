"""What `manage.py check --deploy` warns of, beside what Django does."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004 (Django's name)


@register(Tags.security, deploy=True)
def hosts_are_named(**_: Any) -> list[CheckMessage]:
    """Warn where the site answers to any name: a page of somebody else could then be made to speak with it."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "ALLOWED_HOSTS=* answers to any host name.",
            hint="List the names that the site is reached by.",
            id="scheduler_sim.W001",
        )
    ]


@register(Tags.security, deploy=True)
def proxies_are_named(**_: Any) -> list[CheckMessage]:
    """Warn where any address counts as a proxy of ours: every client then chooses whom its requests count for."""
    everyone = [str(network) for network in settings.TRUSTED_PROXIES if network.prefixlen == 0]
    if not everyone:
        return []
    return [
        Warning(
            f"TRUSTED_PROXIES={','.join(everyone)} believes what any client says of its own address.",
            hint="List the addresses of the proxies alone; limits by address mean nothing otherwise.",
            id="scheduler_sim.W002",
        )
    ]
