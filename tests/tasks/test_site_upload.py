"""Sites that are uploaded: what is shown before they are stored, and what is refused."""

import gzip
import lzma
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.tasks.errors import SiteError
from apps.tasks.models import Site
from apps.tasks.sites import reading as site_reading
from apps.tasks.sites.reading import ReadSite, site_read
from apps.tasks.sites.services import site_store
from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.engine import sites
from tests.web.conftest import client_that_controls_runs

pytestmark = pytest.mark.django_db

CONF = b"ClusterName=tiny\nInclude parts.conf\nNodeName=n[1-4] CPUs=8\nPaintedIn=red\n"
PARTITIONS = b"PartitionName=main Nodes=n[1-4] MaxTime=60\n"
DESCRIBED = "name: lab\ngroups:\n- {hosts: 'a[1-2]', cores: 4}\n"


@pytest.fixture
def controller() -> Client:
    return client_that_controls_runs()


def sent(client: Client, *files: tuple[str, bytes], status: int = 200, **fields: str) -> str:
    uploads = [SimpleUploadedFile(name, content) for name, content in files]
    response = client.post("/sites/upload/", {"file": uploads, **fields})
    assert response.status_code == status
    return response.content.decode()


def sealed_in(page: str) -> str:
    found = re.search(r'name="read" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_files_are_read_and_shown_with_what_was_not_understood_before_anything_is_stored(controller: Client) -> None:
    page = sent(controller, ("slurm.conf", CONF), ("parts.conf.gz", gzip.compress(PARTITIONS)))
    for text in ("4 nodes", "PaintedIn=red", "main", "It will be version 1.", "1 place of the files"):
        assert text in " ".join(page.split())
    assert not Site.objects.exists()
    response = controller.post("/sites/upload/", {"read": sealed_in(page), "name": "tiny"}, follow=True)
    stored = Site.objects.get()
    assert (stored.reference, stored.origin) == ("tiny@1", "slurm.conf, parts.conf.gz")
    assert [(note["file"], note["line"], note["text"]) for note in stored.notes] == [("slurm.conf", 4, "PaintedIn=red")]
    assert response.redirect_chain == [("/sites/tiny/?version=1", 302)]
    assert "Stored as tiny version 1." in response.content.decode()
    assert AuditEntry.objects.get(kind="site").name == "carol"


def test_what_differs_from_the_newest_version_is_shown(controller: Client) -> None:
    site_store(site=sites.read_site(DESCRIBED))
    page = " ".join(sent(controller, text=DESCRIBED.replace("cores: 4", "cores: 8")).split())
    assert "Cores each" in page
    assert "after lab version 1" in page
    assert "lab version 1 is the same already" in " ".join(sent(controller, text=DESCRIBED).split())


def test_a_text_is_pasted_and_stored_under_another_name(controller: Client) -> None:
    page = sent(controller, text=DESCRIBED, name="copy")
    controller.post("/sites/upload/", {"read": sealed_in(page), "name": "copy"})
    assert Site.objects.get().as_site().name == "copy"
    again = controller.post("/sites/upload/", {"read": sealed_in(page), "name": "copy"}, follow=True)
    assert "Nothing has changed since copy version 1." in again.content.decode()


def test_reservations_are_read_with_the_date_of_time_0(controller: Client) -> None:
    reservation = b"ReservationName=fix StartTime=2026-01-31T09:00:00 EndTime=2026-01-31T10:00:00 Nodes=n1\n"
    files = (("slurm.conf", CONF), ("parts.conf", PARTITIONS), ("r.txt", reservation))
    assert "need the instant that is time 0" in sent(controller, *files, status=400)
    page = sent(controller, *files, zero="2026-01-31T08:00")
    assert ReadSite.unsealed(sealed_in(page)).site.reservations[0].start_time == 3600


@pytest.mark.parametrize(
    ("files", "fields", "sentence"),
    [
        ([], {}, "No file of a site was given."),
        ([("site.yaml", b"groups:\n- {hosts: a1, cores: -4}\n")], {}, "site.yaml, line 2: groups[0].cores: Node group"),
        (
            [],
            {"text": "groups:\n- {hosts: a1, cores: 4, colour: red}\n"},
            "pasted text, line 2: Node group a1 has unknown keys: colour",
        ),
        (
            [],
            {"text": "groups:\n- {hosts: a1, cores: 4}\npriority: {kind: lottery}\n"},
            "line 3: priority.kind: Invalid",
        ),
        ([], {"text": "groups: [{hosts: a1\n"}, "pasted text is neither YAML nor JSON"),
        (
            [("slurm.conf", b"NodeName=n1 CPUs=8\nPartitionName=p Nodes=n2\n")],
            {},
            "slurm.conf, line 2: Site site has no",
        ),
        ([("photo.jpg", bytes(range(256)))], {}, "photo.jpg is nothing that a site is read from."),
        ([("site.yaml", b"\xff\x00")], {}, "site.yaml is not a text in UTF-8."),
        ([("site.yaml", b"\xff\xfe\x00")], {}, "site.yaml begins as UTF-16 text and holds other bytes."),
        ([("slurm.conf.xz", lzma.compress(CONF)[:-9])], {}, "slurm.conf.xz is a damaged xz file"),
        ([("a.yaml", b"name: x\n"), ("a.yaml", b"name: x\n")], {}, "Two files are called a.yaml."),
        (
            [("slurm.conf", CONF), ("parts.conf", PARTITIONS), ("parts.conf.gz", gzip.compress(PARTITIONS))],
            {},
            "Two files are called parts.conf: parts.conf and parts.conf.gz; give one of them.",
        ),
        ([], {"text": DESCRIBED, "name": "a/edit"}, "A site cannot be called a/edit"),
        ([], {"text": 'name: x\ngroups: [{hosts: "\\ud800", cores: 4}]'}, "a character that cannot be stored"),
        ([], {"text": 'name: "a\\0b"\ngroups: [{hosts: x1, cores: 4}]'}, "a character that cannot be stored"),
        ([], {"text": "groups: [{hosts: a1, cores: 4}]"}, "The text states no name of the site"),
        ([], {"text": DESCRIBED, "name": "n" * 101}, "at most 100 characters"),
        ([], {"text": DESCRIBED, "zero": "yesterday"}, "Enter a valid date/time."),
    ],
)
def test_what_cannot_be_a_site_is_refused_in_a_sentence_and_nothing_is_stored(
    controller: Client, files: list[tuple[str, bytes]], fields: dict[str, str], sentence: str
) -> None:
    page = sent(controller, *files, status=400, **fields)
    assert sentence in page
    assert "/site-" not in page, "where the file lies is nobody's concern"
    assert not Site.objects.exists()


def test_more_than_is_read_while_somebody_waits_is_refused(controller: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(site_reading, "MOST_DESCRIBED_BYTES", 10)
    assert "site.yaml may hold" in sent(controller, ("site.yaml", DESCRIBED.encode()), status=400)
    for name in ("site.yaml.xz", "site.xz"):
        page = sent(controller, (name, lzma.compress(DESCRIBED.encode())), status=400)
        assert f"{name} may hold" in page, "by what it is, whatever it is called"
    monkeypatch.setattr(site_reading, "MOST_BYTES", 100)
    two = [(name, gzip.compress(b"#" * 90)) for name in ("a.gz", "b.gz")]
    assert "All files together may hold" in sent(controller, *two, status=400)
    monkeypatch.setattr(site_reading, "MOST_BYTES", 20)
    assert "All files together may hold" in sent(controller, ("slurm.conf", CONF), status=400)
    monkeypatch.undo()
    monkeypatch.setattr(site_reading, "MOST_SEALED", 20)
    assert "too large to be looked at" in sent(controller, ("site.yaml", DESCRIBED.encode()), status=400)


def test_names_of_files_lead_nowhere(controller: Client) -> None:
    read = site_read([SimpleUploadedFile("../x\n\tslurm.conf", CONF), SimpleUploadedFile("parts.conf", PARTITIONS)])
    assert read.origin == "xslurm.conf, parts.conf"


@pytest.mark.parametrize("text", ["", "x", "x:y:z"])
def test_what_another_site_sealed_is_not_stored(controller: Client, text: str) -> None:
    with pytest.raises(SiteError, match="send the files again"):
        ReadSite.unsealed(text)
    if text:
        response = controller.post("/sites/upload/", {"read": text, "name": "a"}, follow=True)
        assert "send the files again" in response.content.decode()
    assert not Site.objects.exists()
