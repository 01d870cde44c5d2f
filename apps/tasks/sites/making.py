"""Pages that make versions of sites: out of files that are sent, and by editing one."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.tasks.errors import SiteError
from apps.tasks.models import Site
from apps.tasks.sites.editor import SiteEditor, change_asked, focused
from apps.tasks.sites.forms import SiteUploadForm
from apps.tasks.sites.pages import asked_version
from apps.tasks.sites.reading import MOST_BYTES, ReadSite
from apps.tasks.sites.services import site_name_check, site_store
from apps.tasks.sites.words import difference_lines, site_parts
from scheduler_sim.display.viewing import control_form
from scheduler_sim.engine import sites
from scheduler_sim.engine.sites.slurm_reserved import COMMAND as PAST_RESERVATIONS


@control_form("Uploading a site needs")
def site_upload(request: HttpRequest) -> HttpResponse:
    """Take files of a site, show what was read of them, and store that when it is asked for."""
    form = SiteUploadForm()
    if sealed := request.POST.get("read"):
        try:
            read = ReadSite.unsealed(sealed)
            return _stored(request, read, name=request.POST.get("name", "").strip())
        except SiteError as error:
            messages.error(request, str(error))
            return redirect("site-upload")
    if request.method == "POST":
        form = SiteUploadForm(request.POST, request.FILES)
        if form.is_valid() and form.read is not None:
            try:
                return _looked_at(request, form.read, name=form.cleaned_data["name"] or form.read.site.name)
            except SiteError as error:
                form.add_error("name", str(error))
    context = {"form": form, "most": MOST_BYTES // 2**20, "printed": [one for one, _ in sites.SOURCES.values()]}
    context["past_reservations"] = PAST_RESERVATIONS
    return render(request, "tasks/site_upload.html", context, status=400 if form.errors else 200)


@control_form("Editing a site needs")
def site_edit(request: HttpRequest, name: str) -> HttpResponse:
    """Show a version of a site as a form, change it as its buttons say, and store it as the next version."""
    stored = asked_version(request, name)
    is_copy = "copy" in request.GET
    if request.method != "POST":
        called = Site.objects.free_name(name) if is_copy else name
        newest = Site.objects.newest(name).version
        editor = SiteEditor.of(stored.as_site(), name=called, newest=newest)
        return _editor(request, editor, stored, is_copy)
    editor = SiteEditor.sent(request.POST)
    what, _, number = request.POST.get("do", "").partition(":")
    if what == "save" and editor.site is not None:
        try:
            return _saved(request, editor.site, stored, newest=editor.sheet.cleaned_data["newest"])
        except SiteError as error:
            editor.fault = str(error)
    elif change := change_asked(what, number):
        editor = editor.changed(change)
    return _editor(request, editor, stored, is_copy, done=what, number=number)


def _saved(request: HttpRequest, site: sites.Site, before: Site, *, newest: int) -> HttpResponse:
    """Store an edited site, unless it would pass over what somebody else has stored.

    Raises:
        SiteError: it would, or the name is taken or none.
    """
    there: Site | None = Site.objects.newest(site.name)
    if there is not None and site.name != before.name:
        raise SiteError(f"There is a site {site.name} already; choose another name.")
    if there is not None and there.version != newest:
        raise SiteError(f"{there} was stored meanwhile; open it, or store this one under another name.")
    notes = [sites.Note(**note) for note in before.notes]
    return _stored(request, ReadSite(site, notes, f"edited from {before.reference}"), name=site.name)


def _editor(
    request: HttpRequest, editor: SiteEditor, stored: Site, is_copy: bool, *, done: str = "", number: str = ""
) -> HttpResponse:
    context: dict[str, Any] = {
        "editor": editor,
        "stored": stored,
        "is_copy": is_copy,
        "is_text": not editor.groups.forms,
        "focused": focused(editor, done, number),
        "runs": stored.runs.count(),
    }
    if editor.site is not None:
        context["differences"] = difference_lines(sites.differences(stored.as_site(), editor.site))
    failed = bool(editor.fault or editor.problems)
    return render(request, "tasks/site_edit.html", context, status=400 if failed else 200)


def _looked_at(request: HttpRequest, read: ReadSite, *, name: str) -> HttpResponse:
    """Show what was read, before it is stored."""
    site_name_check(name)
    newest: Site | None = Site.objects.newest(name)
    context: dict[str, Any] = {
        "read": read,
        "name": name,
        "sealed": read.sealed(),
        "newest": newest,
        "parts": [part for part in site_parts(read.site) if part.rows or part.empty],
    }
    if newest is not None:
        context["differences"] = difference_lines(sites.differences(newest.as_site(), read.site))
    return render(request, "tasks/site_read.html", context)


def _stored(request: HttpRequest, read: ReadSite, *, name: str) -> HttpResponse:
    stored, is_new = site_store(site=read.site, notes=read.notes, origin=read.origin, name=name)
    messages.success(request, f"Stored as {stored}." if is_new else f"Nothing has changed since {stored}.")
    return redirect(f"{reverse('site-detail', args=[stored.name])}?version={stored.version}")
