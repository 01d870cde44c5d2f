"""The form by which files of a site are sent."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from apps.tasks.errors import SiteError
from apps.tasks.models import Site
from apps.tasks.sites.reading import ReadSite, site_read


class SeveralFilesInput(forms.ClearableFileInput):
    """A file input in which several may be chosen."""

    allow_multiple_selected = True
    template_name = "django/forms/widgets/file.html"

    def use_required_attribute(self, initial: Any) -> bool:
        """Leave it to the form: a pasted text may stand in place of files."""
        return False


class SeveralFilesField(forms.FileField):
    """Any number of files."""

    widget = SeveralFilesInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Return the list of files; an empty one is a file without anything in it."""
        return [super(SeveralFilesField, self).clean(one, initial) for one in data or []]


class SiteUploadForm(forms.Form):
    """Files of a site, or a text, that `read` holds as the site they make up once the form is valid."""

    file = SeveralFilesField(
        label="Files",
        required=False,
        allow_empty_file=True,
        help_text="slurm.conf and what it includes, gres.conf, what scontrol and sacctmgr print, or one YAML or JSON.",
    )
    text = forms.CharField(
        label="Or its text",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "placeholder": "YAML, JSON or slurm.conf"}),
    )
    name = forms.CharField(
        label="Name",
        required=False,
        max_length=Site.NAME_LENGTH,
        widget=forms.TextInput(attrs={"placeholder": "the cluster's own"}),
    )
    zero = forms.DateTimeField(
        label="Time 0 of the workload",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="Only for reservations and events, which are dated.",
    )

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **{"auto_id": "%s", **others})
        self.read: ReadSite | None = None

    def clean(self) -> dict[str, Any]:
        """Read the files; what is wrong in them is said of the whole form."""
        given = self.cleaned_data
        uploads: list[UploadedFile] = given.get("file") or []
        if not self.errors:
            zero = given.get("zero")
            try:
                self.read = site_read(
                    uploads,
                    text=given.get("text", ""),
                    zero_at=zero.timestamp() if zero else None,
                    name=given.get("name", ""),
                )
            except SiteError as error:
                self.add_error(None, str(error))
        return given
