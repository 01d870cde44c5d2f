"""When the admin finds its pages."""

from typing import Any

from django.contrib.admin import apps, autodiscover, checks
from django.core.checks import CheckMessage, Tags, register


class LateAdmin(apps.SimpleAdminConfig):
    """The admin, whose pages are imported with the site's addresses: commands that serve none need none of them."""

    def ready(self) -> None:
        """Check the pages as Django does, which imports them."""
        register(checks.check_dependencies, Tags.admin)
        register(_check_pages, Tags.admin)


def _check_pages(**options: Any) -> list[CheckMessage]:
    autodiscover()
    return checks.check_admin_app(**options)
