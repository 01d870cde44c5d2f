"""Sites that are sent over HTTP: read by the command's own reader, looked at, and then stored."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.core import signing
from django.core.files.uploadedfile import UploadedFile

from apps.tasks.errors import SiteError
from apps.tasks.sites.services import texts_check
from scheduler_sim.engine import EngineError, sites
from scheduler_sim.engine.errors import InvalidTrace, LargerTrace
from scheduler_sim.engine.packed.spool import spooled
from scheduler_sim.engine.packed.unpack import unpacked_text

MOST_BYTES = 8 * 2**20
"""Of all files together, unpacked: they are read while somebody waits. `importsite` takes larger ones."""

MOST_DESCRIBED_BYTES = 2**20
"""Of a description: YAML is read slowly."""

MOST_SEALED = 2 * 2**20
"""Characters of a packed site that a form sends back; Django takes little more."""

PASTED = "pasted text"
"""What a text without a file is called."""

_SALT = "site that was read"
_KEPT_SECONDS = 24 * 3600


class SiteTooLarge(SiteError):
    """More was sent than is read while somebody waits."""


@dataclass(frozen=True)
class ReadSite:
    """A site that was read and is not stored.

    Attributes:
        notes: what of its files has no effect.
        origin: the names of the files.
    """

    site: sites.Site
    notes: list[sites.Note]
    origin: str

    def sealed(self) -> str:
        """Return it as a text that nobody else can write.

        Raises:
            SiteTooLarge: longer than a form can send back.
        """
        document = {"site": self.site.as_json(), "notes": [vars(note) for note in self.notes], "origin": self.origin}
        sealed = signing.dumps(document, salt=_SALT, compress=True)
        if len(sealed) > MOST_SEALED:
            raise SiteTooLarge("The site is too large to be looked at here; importsite reads it.")
        return sealed

    @classmethod
    def unsealed(cls, text: str) -> "ReadSite":
        """Return what `sealed` wrote.

        Raises:
            SiteError: it was written elsewhere, or a day ago.
        """
        try:
            document = signing.loads(text, salt=_SALT, max_age=_KEPT_SECONDS)
        except signing.BadSignature:
            raise SiteError("What was read is not at hand any more; send the files again.") from None
        notes = [sites.Note(**note) for note in document["notes"]]
        return cls(sites.Site.from_json(document["site"]), notes, document["origin"])


def site_read(
    uploads: Iterable[UploadedFile], *, text: str = "", zero_at: float | None = None, name: str = ""
) -> ReadSite:
    """Read the site that files and a pasted text make up together.

    Args:
        zero_at, name: as of `sites.read_site_files`.

    Raises:
        SiteError: too much, two files of one name, or a text without the name of the site.
        EngineError: what is wrong in a file, with its line.
    """
    with tempfile.TemporaryDirectory(prefix="site-") as folder:
        files = _written(Path(folder), [*uploads], text)
        try:
            site, notes, read = sites.read_site_files(files, zero_at=zero_at, name=name, checked=_check_described)
        except EngineError as error:
            # A sentence may name the place where the file lies, which is nobody's concern.
            raise SiteError(str(error).replace(f"{folder}/", "")) from error
    if site.name == PASTED and not name:
        raise SiteError("The text states no name of the site; give it one.")
    texts_check(site.as_json())
    return ReadSite(site, notes, ", ".join(file.name for file in read))


def _written(folder: Path, uploads: list[UploadedFile], text: str) -> list[Path]:
    _check_together(sum(upload.size or 0 for upload in uploads) + len(text))
    files: list[Path] = []
    taken = len(text)
    for upload in uploads:
        file = folder / _plain_name(upload.name or "file")
        if file in files:
            raise SiteError(f"Two files are called {file.name}.")
        try:
            content = unpacked_text(file.name, spooled(file.name, upload.chunks()), MOST_BYTES)
        except LargerTrace as error:
            raise _too_large() from error
        except InvalidTrace as error:
            raise SiteError(str(error)) from error
        taken += len(content)
        _check_together(taken)
        file.write_bytes(content)
        files.append(file)
    if text.strip():
        file = folder / PASTED
        file.write_text(text, encoding="utf-8", errors="replace")
        files.append(file)
    return files


def _check_together(size: int) -> None:
    if size > MOST_BYTES:
        raise _too_large()


def _too_large() -> SiteTooLarge:
    return SiteTooLarge(f"All files together may hold {MOST_BYTES // 2**20} MiB here; importsite reads larger ones.")


def _check_described(file: Path) -> None:
    if file.stat().st_size > MOST_DESCRIBED_BYTES:
        most = MOST_DESCRIBED_BYTES // 2**20
        raise SiteTooLarge(f"{file.name} may hold {most} MiB here; importsite reads larger ones.")


def _plain_name(name: str) -> str:
    """Return the last part of a name without what cannot be printed, and so short that any disk takes it."""
    plain = "".join(letter for letter in Path(name).name if letter.isprintable())
    return plain[-100:] or "file"
