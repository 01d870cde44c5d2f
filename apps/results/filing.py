"""How people file their runs: tags, notes, out of sight, and the columns that somebody wants to see of them."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

from apps.results.errors import InvalidField, RunStateError
from apps.results.managers import RunTagQuerySet
from scheduler_sim.accounts import audit
from scheduler_sim.constraints import unique
from scheduler_sim.marks import alters_data

MOST_TAGS = 20
"""So many tags a run may have."""

LONGEST_NOTE = 10_000
"""So many characters the notes of a run may have."""


class Filed(models.Model):
    """What people write on a run; nothing of it decides what the run computes, and no digest covers it.

    It stands apart from `Run` for the reader's sake, and uses its name, its status and its tags.
    """

    notes = models.TextField(blank=True, help_text="What people want to remember of it.")
    archived_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since when lists leave it out; empty for one in sight."
    )

    class Meta:
        abstract = True

    @property
    def tag_names(self: Any) -> list[str]:
        """Its tags by name; read at once for many where they were prefetched."""
        return sorted(tag.name for tag in self.tags.all())

    @alters_data
    def archive(self: Any) -> None:
        """Leave it out of lists from here on; nothing of it is deleted, and `restore` takes it back.

        Raises:
            RunStateError: it is under way.
        """
        self.refresh_from_db(fields=["status", "archived_at"])
        if not self.is_over:
            raise RunStateError(f"Run {self.name} is {self.status}; only runs that are over can be archived.")
        self._file(audit.Action.ARCHIVE, archived_at=self.archived_at or timezone.now())

    @alters_data
    def restore(self) -> None:
        """Show it on lists again."""
        self._file(audit.Action.RESTORE, archived_at=None)

    @alters_data
    def note(self, text: str) -> None:
        """Write the notes anew.

        Raises:
            InvalidField: they are too long, or hold a character that cannot be stored.
        """
        text = text.replace("\r\n", "\n").strip()
        if len(text) > LONGEST_NOTE or "\0" in text:
            raise InvalidField(f"Notes have at most {LONGEST_NOTE:,} characters, none of them NUL.", "notes")
        self._file(audit.Action.CHANGE, notes=text)

    @alters_data
    def tag(self: Any, names: Iterable[str]) -> None:
        """Give it these tags and no others.

        Raises:
            InvalidField: a name that no tag may have, or too many of them.
        """
        wanted, there = tag_names(names), set(self.tags.values_list("name", flat=True))
        if set(wanted) == there:
            return
        with transaction.atomic():
            self.tags.exclude(name__in=wanted).delete()
            # Another process may add the same one at this moment.
            new = [RunTag(run_id=self.pk, name=name) for name in wanted if name not in there]
            RunTag.objects.bulk_create(new, ignore_conflicts=True)
            audit.record(audit.Action.CHANGE, "run", self)

    def _file(self, action: str, **values: Any) -> None:
        changed = {name: value for name, value in values.items() if getattr(self, name) != value}
        if not changed:
            return
        with transaction.atomic():
            type(self)._default_manager.filter(pk=self.pk).update(**changed)
            audit.record(action, "run", self)
        for name, value in changed.items():
            setattr(self, name, value)


class RunTag(models.Model):
    """A word under which people find a run again."""

    NAME_LENGTH = 50

    run = models.ForeignKey("results.Run", on_delete=models.CASCADE, related_name="tags", db_index=False)
    name = models.CharField(max_length=NAME_LENGTH)

    objects = RunTagQuerySet.as_manager()

    class Meta:
        ordering = ("name", "run_id")
        verbose_name = "tag"
        constraints = [unique("run", "name", called="unique_name")]
        indexes = [
            # Lists of runs and /api/v1/runs/?tag=: those with one tag.
            models.Index(fields=("name",), name="results_runtag_name"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Hold a tag made by hand to the rule of all others.

        Raises:
            ValidationError: it cannot be a tag.
        """
        try:
            (self.name,) = tag_names([self.name]) or [""]
        except InvalidField as error:
            raise ValidationError(str(error)) from None


class RunColumns(models.Model):
    """The columns that somebody wants to see in the list of runs, where the address names none."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", primary_key=True)
    columns = models.JSONField(help_text="Their names, in order.")

    class Meta:
        verbose_name_plural = "run columns"

    def __str__(self) -> str:
        return f"columns of {self.user}"


def tag_names(names: Iterable[str]) -> list[str]:
    """Return names of tags, each once, without blanks around them.

    Raises:
        InvalidField: one that no tag may have, or too many.
    """
    wanted = list(dict.fromkeys(stripped for name in names if (stripped := " ".join(name.split()))))
    longest = RunTag.NAME_LENGTH
    for name in wanted:
        if len(name) > longest or "," in name or not name.isprintable():
            raise InvalidField(
                f"{name[:longest]!r} cannot be a tag: it has 1 to {longest} printable characters and no comma.", "tags"
            )
    if len(wanted) > MOST_TAGS:
        raise InvalidField(f"A run has at most {MOST_TAGS} tags.", "tags")
    return wanted
