"""A cluster or a site that somebody writes into the form of a new run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from apps.results.errors import DomainError
from apps.tasks.errors import SiteError
from apps.tasks.sites.services import site_store, texts_check
from scheduler_sim.engine import sites

CALLED = "The description"

_OF_SITE = frozenset(sites.Nodes.__struct_fields__)


@dataclass
class DescribedCluster:
    """What was written: a cluster as the API takes it, or a site, which is stored when the run is.

    Attributes:
        reference: the version that the site becomes, empty for a cluster and before it was tried.
    """

    cluster: dict[str, Any] | None = None
    site: sites.Site | None = None
    reference: str = ""

    @contextmanager
    def tried(self) -> Iterator[dict[str, str | dict[str, Any]]]:
        """Give the fields by which a run asks for it; a site is there within, and gone after.

        Raises:
            SiteError: the site cannot be stored.
        """
        if self.site is None:
            yield {"cluster": self.cluster or {}}
            return
        with transaction.atomic():
            stored, _ = site_store(site=self.site, origin=CALLED.lower())
            self.reference = stored.reference
            yield {"site": self.reference}
            transaction.set_rollback(True)

    def store(self) -> None:
        """Store the site.

        Raises:
            DomainError: somebody else has stored another version of it since it was tried.
        """
        if self.site is None:
            return
        try:
            stored, _ = site_store(site=self.site, origin=CALLED.lower())
        except SiteError as error:
            raise DomainError(str(error)) from error
        if stored.reference != self.reference:
            raise DomainError(f"Site {stored.name} has been changed at this moment; try again.")


def described_cluster(text: str) -> DescribedCluster:
    """Return what a YAML or JSON text describes: a cluster where it says nothing that only a site knows.

    Raises:
        EngineError: what is wrong, with its line and key.
    """
    document, _ = sites.read_document(text, name=CALLED)
    site = sites.read_site(text, name=CALLED)
    texts_check(site.as_json())
    if set(document) - {"name", "groups", "topology"} or any(_OF_SITE & set(group) for group in document["groups"]):
        if "name" not in document:
            raise SiteError(f"{CALLED} states no name of the site; give it one.")
        return DescribedCluster(site=site)
    return DescribedCluster(cluster={**site.cluster.as_json(), "name": str(document.get("name", "described"))})
