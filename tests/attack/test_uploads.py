"""Small files that grow in the reading, and limits on what reading them may take."""

import errno
import gzip
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from pyarrow import parquet

from apps.tasks.models import WorkloadImport
from apps.tasks.uploads import upload_accept
from scheduler_sim.background.limits import LimitReached, limited
from scheduler_sim.background.models import Job
from scheduler_sim.background.work import job_run
from scheduler_sim.engine.errors import EngineError, InvalidTrace
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.traces.source import open_source
from tests.attack.hostile_files import hostile_files
from tests.conftest import ROOT

pytestmark = pytest.mark.attack

READ = """
import sys
from pathlib import Path
from scheduler_sim.background.limits import LimitReached, limited
from scheduler_sim.engine.traces import read_trace
try:
    allowed = int(sys.argv[2]) * 2**20
    with limited(memory_bytes=allowed, seconds=100, setting_of_memory="UPLOAD_MEMORY_MB", setting_of_time="T"):
        said = f"{len(read_trace(sys.argv[1]).workload)} tasks"
except LimitReached as error:
    said = str(error)
# Of this program alone: what getrusage tells begins with the peak of the process that started it.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024, said)
"""


def read_within(megabytes: int, path: Path) -> tuple[int, str]:
    """Read a file in a process with a limit of memory; return its peak in MB, and how many tasks or which limit."""
    command = [sys.executable, "-c", READ, str(path), str(megabytes)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    peak, _, said = done.stdout.strip().partition(" ")
    return int(peak), said


def repeated_parquet(folder: Path) -> Path:
    rows = 50_000
    table = pa.table(
        {
            "arrival_time": pa.array([0.0] * rows),
            "runtime": pa.array([1.0] * rows),
            "user": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * 20_000]),
        }
    )
    # The reader is not told that the texts are codes.
    parquet.write_table(table, folder / "repeated.parquet", compression="zstd", store_schema=False)
    return folder / "repeated.parquet"


def repeated_gzip(folder: Path) -> Path:
    with gzip.open(folder / "repeated.csv.gz", "wb", compresslevel=1) as file:
        file.write(b"arrival_time,runtime,user\n")
        for _ in range(5):
            file.write((b"0,1," + b"u" * 2_000 + b"\n") * 10_000)
    return folder / "repeated.csv.gz"


@pytest.mark.own_data
@pytest.mark.parametrize("make", [repeated_parquet, repeated_gzip])
def test_a_long_text_in_every_row_is_held_once(tmp_path: Path, make: Any) -> None:
    path = make(tmp_path)
    assert path.stat().st_size < 6 * 2**20
    megabytes, said = read_within(400, path)
    assert said == "50000 tasks"
    assert megabytes < 500


@pytest.mark.own_data
def test_a_file_that_grows_is_given_up_within_the_memory_there_is(tmp_path: Path) -> None:
    path = tmp_path / "grown.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"arrival_time,runtime,external_id\n")
        file.writelines(b"0,1,%d%s\n" % (number, b"u" * 1_500) for number in range(60_000))
    assert path.stat().st_size < 6 * 2**20
    megabytes, said = read_within(100, path)
    assert said == "It took more than 100 MB of memory (UPLOAD_MEMORY_MB)."
    assert megabytes < 350


@pytest.mark.own_data
def test_what_takes_too_long_is_given_up() -> None:
    with (
        pytest.raises(LimitReached, match=r"more than 1 s \(UPLOAD_SECONDS\)"),
        limited(memory_bytes=2**32, seconds=1, setting_of_memory="M", setting_of_time="UPLOAD_SECONDS"),
    ):
        _for_ever()


def _for_ever() -> None:
    while True:
        sum(range(1000))


@pytest.mark.own_data
@pytest.mark.parametrize("first", ["JobID|Submit|State", "arrival_time,runtime"])
def test_columns_by_the_hundred_thousand_are_refused_at_once(tmp_path: Path, first: str) -> None:
    delimiter = "|" if "|" in first else ","
    more = ["JobID"] * 200_000 if delimiter == "|" else [f"c{number}" for number in range(200_000)]
    names = [*first.split(delimiter), *more]
    path = tmp_path / "wide.csv"
    path.write_text(delimiter.join(names) + "\n" + delimiter.join("1" for _ in names) + "\n")
    with pytest.raises(InvalidTrace, match=r"\d{3},\d{3} columns, where 1,000 are allowed"):
        read_trace(path, format="sacct" if delimiter == "|" else "csv")


@pytest.mark.own_data
def test_lines_that_begin_no_job_are_taken_in_once() -> None:
    lines = ["JobID|Submit|Start|Elapsed|NCPUS|Comment|JobName", "1|2024-01-01T00:00:00|2024-01-01T00:00:01|60|1||a"]
    lines += ["neither|a|job"] * 100_000
    trace = read_trace(io.BytesIO("\n".join(lines).encode()), name="jobs", format="sacct")
    assert len(trace.workload) == 1
    assert trace.audit.dropped["broken_line"].count == 100_000


@pytest.mark.own_data
def test_rows_and_columns_of_parquet_are_counted_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({f"c{number}": [1] for number in range(1_001)}), path)
    with pytest.raises(InvalidTrace, match="1,001 columns"):
        read_trace(path, format="parquet")
    with pytest.raises(InvalidTrace, match=r"more lines than the limit of 2"):
        open_source(_text(tmp_path, "arrival_time,runtime\n0,1\n0,1\n"), max_rows=2)


def _text(folder: Path, content: str) -> Path:
    (folder / "a.csv").write_text(content)
    return folder / "a.csv"


@pytest.fixture
def read(db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that sends a file and reads it in this process."""
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr("scheduler_sim.background.services.dispatch", lambda: 0)

    def run(content: bytes, name: str = "trace.csv") -> WorkloadImport:
        user, _ = User.objects.get_or_create(username="alice")
        sent = upload_accept(upload=SimpleUploadedFile(name, content), format="", name="", requested_by=user)
        job_run(Job.objects.get(kind="import", subject_id=sent.pk))
        sent.refresh_from_db()
        return sent

    return run


def test_the_import_says_which_limit_was_reached(read: Any, settings: Any, tmp_path: Path) -> None:
    rows = b"arrival_time,runtime\n" + b"".join(b"%d,1\n" % number for number in range(20))
    settings.UPLOAD_MAX_ROWS = 5
    sent = read(rows)
    assert (sent.status, sent.error) == ("failed", "trace.csv has more lines than the limit of 5.")
    parquet.write_table(pa.table({"arrival_time": [0.0] * 20, "runtime": [1.0] * 20}), tmp_path / "b.parquet")
    sent = read((tmp_path / "b.parquet").read_bytes(), "b.parquet")
    assert (sent.status, sent.error) == ("failed", "b.parquet has 20 rows, where 5 are allowed.")
    settings.UPLOAD_MAX_ROWS = 100
    assert read(rows).status == "finished"
    assert not [*(tmp_path / "uploads").iterdir()]


def test_a_nul_in_a_text_is_a_sentence_on_every_database(read: Any, tmp_path: Path) -> None:
    for column in ("user", "external_id"):
        table = pa.table({"arrival_time": [0.0], "runtime": [1.0], column: ["a\0b"]})
        parquet.write_table(table, tmp_path / "nul.parquet")
        sent = read((tmp_path / "nul.parquet").read_bytes(), "nul.parquet")
        assert (sent.status, sent.error) == (
            "failed",
            f"Column {column} holds a NUL character, which cannot be stored.",
        )


def test_a_text_that_no_column_holds_is_a_sentence(read: Any, tmp_path: Path) -> None:
    same = pa.array([0] * 20_000, pa.int32())
    table = pa.table(
        {
            "arrival_time": [0.0] * 20_000,
            "runtime": [1.0] * 20_000,
            "user": pa.DictionaryArray.from_arrays(same, ["x" * 5_000]),
        }
    )
    parquet.write_table(table, tmp_path / "long.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "long.parquet").stat().st_size < 10_000
    sent = read((tmp_path / "long.parquet").read_bytes(), "long.parquet")
    assert (sent.status, sent.error) == (
        "failed",
        "Column user holds a text of 5000 characters, where 100 are allowed.",
    )


def test_the_import_says_that_memory_did_not_suffice(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("apps.tasks.uploads.workload_import", fail)
    sent = read(b"arrival_time,runtime\n0,1\n")
    assert (sent.status, sent.error) == ("failed", "It took more than 4,000 MB of memory (UPLOAD_MEMORY_MB).")


@pytest.mark.own_data
def test_every_generated_file_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    refused = {}
    for number, sent in enumerate(hostile_files(60, seed=7)):
        path.write_bytes(sent.content)
        try:
            read_trace(path, format=sent.format or None)
        except EngineError as error:
            refused[number, sent.kind] = str(error)
    assert len(refused) > 30
    assert not {which: said for which, said in refused.items() if not said.endswith(".") or len(said) > 3_000}


@pytest.mark.django_db
@pytest.mark.parametrize("fails", ["file", "row"])
def test_nothing_is_left_of_an_upload_that_finds_no_room(
    api: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr("scheduler_sim.background.services.dispatch", lambda: 0)
    content = b"arrival_time,runtime\n0,1\n"

    def send() -> Any:
        api.raise_request_exception = False
        return api.post("/api/v1/workloads/", {"file": SimpleUploadedFile("a.csv", content)}, format="multipart")

    def chunks(_upload: Any) -> Any:
        yield content[:5]
        raise OSError(errno.ENOSPC, "No space left on device")

    def submit(**_job: Any) -> None:
        raise OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        if fails == "file":
            patch.setattr("django.core.files.uploadedfile.InMemoryUploadedFile.chunks", chunks)
        else:
            patch.setattr("apps.tasks.uploads.job_submit", submit)
        refused = send()
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    if fails == "file":
        assert refused.json()["detail"] == "The file could not be kept: No space left on device. Send it again later."
    assert not [*(tmp_path / "uploads").iterdir()]
    assert not WorkloadImport.objects.exists()
    assert send().status_code == 202
