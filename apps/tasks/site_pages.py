"""Pages of sites, to read: what each is made of, and which runs were played on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from apps.tasks.models import Site
from scheduler_sim.display.formatting import duration
from scheduler_sim.display.viewing import ROWS_PER_PAGE, reading
from scheduler_sim.engine import sites

ACCOUNTS_SHOWN = 200
"""So many lines of the accounts are shown; the YAML has all of them."""

RUNS_SHOWN = 20

Cells = tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A table of one part of a site.

    Attributes:
        title: its heading.
        names: of the columns; the first is that of the row's name.
        rows: the name of each row, and its other cells.
        empty: what to say where there is none.
        more: how many rows are left out.
    """

    title: str
    names: Cells
    rows: Sequence[tuple[str, Cells]]
    empty: str
    more: int = 0


@reading
@require_safe
def site_list(request: HttpRequest) -> HttpResponse:
    """Show the newest version of every site."""
    page = Paginator(Site.objects.newest_of_each(), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    lines = [(stored, stored.as_site()) for stored in page.object_list]
    return render(request, "tasks/site_list.html", {"page_obj": page, "lines": lines})


@reading
@require_safe
def site_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Show one version of a site, the newest unless the address says which."""
    stored = _version(request, name)
    site = stored.as_site()
    context = {
        "stored": stored,
        "site": site,
        "parts": [part for part in site_parts(site) if part.rows or part.empty],
        "versions": Site.objects.filter(name=name).order_by("-version").values_list("version", flat=True),
        "runs": stored.runs.defer("configuration", "cluster").order_by("-pk")[:RUNS_SHOWN],
        "run_count": stored.runs.count(),
        "users": len({one.user for one in site.accounts if one.user}),
    }
    return render(request, "tasks/site_detail.html", context)


@reading
@require_safe
def site_yaml(request: HttpRequest, name: str) -> HttpResponse:
    """Return a version of a site as YAML, which `importsite --file` reads."""
    stored = _version(request, name)
    response = HttpResponse(sites.write_site(stored.as_site()), content_type="text/yaml; charset=utf-8")
    # Of a name that nobody checked: quoted, and never shown as a page.
    file = content_disposition_header(as_attachment=True, filename=f"{stored.name}-{stored.version}.yaml")
    response["Content-Disposition"] = str(file)
    return response


def _version(request: HttpRequest, name: str) -> Site:
    version = request.GET.get("version", "")
    if not version:
        newest: Site | None = Site.objects.newest(name)
        if newest is None:
            raise Http404("There is no site of that name.")
        return newest
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise Http404("A version is a whole number.")
    return get_object_or_404(Site, name=name, version=int(version))


def site_parts(site: sites.Site) -> list[Part]:
    """Return what a site is made of, as tables."""
    accounts = [_account(one) for one in site.accounts]
    return [
        _groups(site),
        Part(
            "Partitions",
            ("Partition", "Nodes", "Hosts", "Longest run time", "Tier", "Priority", "State", "Rules"),
            [_partition(site, one) for one in site.partitions],
            "",
        ),
        Part(
            "Quality of service",
            ("QOS", "Priority", "Preempts", "Limits"),
            [(one.name, (str(one.priority), ", ".join(one.preempts), _limits(one.limits))) for one in site.qos],
            "None: no task has a quality of service.",
        ),
        Part(
            "Accounts and users",
            ("Account", "User", "Above it", "Shares", "QOS", "Limits"),
            accounts[:ACCOUNTS_SHOWN],
            "None: everybody may do everything.",
            max(len(accounts) - ACCOUNTS_SHOWN, 0),
        ),
        Part(
            "Reservations",
            ("Reservation", "From", "To", "Hosts", "For"),
            [
                (
                    one.name,
                    (
                        duration(one.start_time),
                        duration(one.end_time),
                        one.hosts,
                        ", ".join((*one.users, *one.accounts, one.partition)).strip(", "),
                    ),
                )
                for one in site.reservations
            ],
            "",
        ),
        Part(
            "Nodes that are away",
            ("Hosts", "From", "To", "What runs there", "Why"),
            [
                (
                    one.hosts,
                    (
                        duration(one.start_time),
                        "for good" if one.end_time is None else duration(one.end_time),
                        "ends" if one.kill else "finishes",
                        one.reason,
                    ),
                )
                for one in site.outages
            ],
            "",
        ),
        Part(
            "Scheduler, where it differs from the defaults",
            ("Part", "Parameter", "Value"),
            [
                (title, (name, _said(value)))
                for title, part in (
                    ("priority", site.priority),
                    ("scheduling", site.scheduling),
                    ("preemption", site.preemption),
                )
                for name, value in _stated(part).items()
            ],
            "All parameters have their defaults.",
        ),
    ]


def _groups(site: sites.Site) -> Part:
    rows = []
    for group, nodes in zip(site.cluster.groups, site.nodes, strict=True):
        gpus = f"{group.gpus} × {group.gpu_type or 'GPU'}" if group.gpus else "none"
        memory = "not limited" if group.memory_mb is None else f"{group.memory_mb:,.0f} MB"
        rows.append(
            (
                group.name,
                (
                    f"{group.count:,}",
                    nodes.hosts,
                    f"{group.cores:,}",
                    gpus,
                    memory,
                    ", ".join(nodes.features),
                    f"{nodes.weight}",
                ),
            )
        )
    names = ("Group", "Nodes", "Hosts", "Cores each", "GPUs each", "Memory each", "Features", "Weight")
    return Part("Node groups", names, rows, "")


def _partition(site: sites.Site, one: sites.Partition) -> tuple[str, Cells]:
    told = {"name", "hosts", "is_default", "state", "tier", "priority", "max_time"}
    rules = "; ".join(f"{name} {_said(value)}" for name, value in _stated(one).items() if name not in told)
    return (
        one.name + (" (default)" if one.is_default else ""),
        (
            f"{len(site.numbers(one.hosts)):,}",
            one.hosts,
            "unlimited" if one.max_time is None else duration(one.max_time),
            str(one.tier),
            str(one.priority),
            one.state,
            rules,
        ),
    )


def _account(one: sites.Account) -> tuple[str, Cells]:
    return (
        one.name,
        (one.user, one.parent, str(one.shares), ", ".join(one.qos or ()), _limits(one.limits)),
    )


def _limits(limits: sites.Limits) -> str:
    return "; ".join(f"{name} {_said(value)}" for name, value in _stated(limits).items())


def _stated(part: msgspec.Struct) -> dict[str, object]:
    """Return the values of a part that are not those by default."""
    found = {}
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        is_empty = field.default_factory is not msgspec.NODEFAULT and not value
        if not is_empty and value != field.default:
            found[field.name] = value
    return found


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {amount:,g}" for name, amount in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,g}" if isinstance(value, int | float) else str(value)
