"""Pages of sites, to read: what each is made of, what differs between two, and which runs were played on it."""

from dataclasses import astuple, fields
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from apps.tasks.errors import SiteError
from apps.tasks.models import Site
from apps.tasks.sites.words import DifferenceLine, difference_lines, site_parts
from scheduler_sim.display.downloads import table_response
from scheduler_sim.display.viewing import page_of, reading
from scheduler_sim.engine import sites

RUNS_SHOWN = VERSIONS_SHOWN = 20

DIFFERENCES_SHOWN = 500
"""The downloads have all of them."""

MOST_OFFERED = 500
"""So many versions are suggested where one is asked for."""


@reading
@require_safe
def site_list(request: HttpRequest) -> HttpResponse:
    """Show the newest version of every site."""
    page = page_of(request, Site.objects.newest_of_each())
    lines = [(stored, stored.as_site()) for stored in page.object_list]
    return render(request, "tasks/site_list.html", {"page_obj": page, "lines": lines})


@reading
@require_safe
def site_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Show one version of a site, the newest unless the address says which."""
    stored = asked_version(request, name)
    site = stored.as_site()
    versions = list(Site.objects.versions(name)[:VERSIONS_SHOWN])
    context = {
        "stored": stored,
        "site": site,
        "parts": [part for part in site_parts(site) if part.rows or part.empty],
        "versions": [(version, _beside(version, stored)) for version in versions],
        "version_count": Site.objects.filter(name=name).count(),
        "newest": versions[0],
        "runs": stored.runs.defer("configuration", "cluster").order_by("-pk")[:RUNS_SHOWN],
        "run_count": stored.runs.count(),
        "users": len({one.user for one in site.accounts if one.user}),
    }
    return render(request, "tasks/site_detail.html", context)


@reading
@require_safe
def site_compare(request: HttpRequest) -> HttpResponse:
    """Show what differs between two versions, of one site or of two; the address names both as NAME@VERSION."""
    asked = {name: request.GET.get(name, "").strip() for name in ("before", "after")}
    context: dict[str, Any] = {**asked, "references": Site.objects.references(MOST_OFFERED)}
    status = HTTPStatus.OK
    if all(asked.values()):
        try:
            found = [Site.objects.referred(reference) for reference in asked.values()]
        except SiteError as error:
            context["fault"], status = str(error), HTTPStatus.NOT_FOUND
        else:
            pair = [stored.as_site() for stored in found]
            lines = difference_lines(sites.differences(*pair))
            if (kind := request.GET.get("format")) in ("csv", "json"):
                names = [field.name for field in fields(DifferenceLine)]
                return table_response("differences", names, [astuple(line) for line in lines], kind)
            context |= {"pair": found, "differences": lines[:DIFFERENCES_SHOWN]}
            context["more"] = max(len(lines) - DIFFERENCES_SHOWN, 0)
            written = sites.differing_lines(*pair)
            context |= {"conf": "\n".join(written.conf), "commands": "\n".join(written.commands)}
    return render(request, "tasks/site_compare.html", context, status=status)


@reading
@require_safe
def site_yaml(request: HttpRequest, name: str) -> HttpResponse:
    """Return a version of a site as YAML, which `importsite --file` reads."""
    stored = asked_version(request, name)
    response = HttpResponse(sites.write_site(stored.as_site()), content_type="text/yaml; charset=utf-8")
    # Of a name that nobody checked: quoted, and never shown as a page.
    file = content_disposition_header(as_attachment=True, filename=f"{stored.name}-{stored.version}.yaml")
    response["Content-Disposition"] = str(file)
    return response


def _beside(one: Site, other: Site) -> str:
    """Return the query of the page that compares two versions, the older one first; empty for one alone."""
    older, newer = sorted((one, other), key=lambda stored: stored.version)
    return "" if one.pk == other.pk else urlencode({"before": older.reference, "after": newer.reference})


def asked_version(request: HttpRequest, name: str) -> Site:
    """Return the version of a site that the address asks for, the newest unless it says which.

    Raises:
        Http404: there is none.
    """
    version = request.GET.get("version", "")
    if not version:
        newest: Site | None = Site.objects.newest(name)
        if newest is None:
            raise Http404("There is no site of that name.")
        return newest
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise Http404("A version is a whole number.")
    return get_object_or_404(Site, name=name, version=int(version))
