"""Reservations as scontrol shows those to come, and the accounting those that are over."""

from functools import partial
from itertools import product
from pathlib import Path

import pytest

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import read_site, read_site_files, read_slurm_site, write_site


def test_a_reservation_needs_the_workloads_time_0(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_text("NodeName=n[1-4] CPUs=1\n")
    (tmp_path / "reservations").write_text(
        "ReservationName=maint StartTime=2026-01-01T10:00:00 EndTime=2026-01-01T12:00:00 Duration=02:00:00\n"
        "   Nodes=n[1-2] NodeCnt=2 CoreCnt=2 Flags=MAINT,IGNORE_JOBS\n"
        "   Users=root Groups=staff Accounts=(null)\n"
    )
    read = partial(
        read_slurm_site, {}, slurm_conf_file=tmp_path / "slurm.conf", reservations_file=tmp_path / "reservations"
    )
    with pytest.raises(InvalidCluster, match="time 0"):
        read()
    ten = 1767261600.0
    site, notes = read(zero_at=ten - 60)[:2]
    (reservation,) = site.reservations
    assert any(note.text == "Groups=staff" for note in notes)
    assert (reservation.start_time, reservation.end_time, reservation.hosts) == (60, 7260, "n[1-2]")
    assert (reservation.users, reservation.accounts, reservation.flags) == (("root",), (), ("MAINT", "IGNORE_JOBS"))


def test_reservations_that_are_over_are_told_by_the_accounting(tmp_path: Path) -> None:
    (conf, printed) = (tmp_path / "slurm.conf", tmp_path / "reservations.txt")
    conf.write_text("ClusterName=c\nNodeName=n[1-4] CPUs=8\n")
    rows = [
        "c|maint|cpu=16|2026-01-01T00:01:00|2026-01-01T00:02:00|0.0|",
        "c|maint|cpu=16|2026-01-01T00:02:00|2026-01-01T00:03:00|0.0|n[1-2]",
        "c|maint|cpu=8|2026-01-02T00:00:00|2026-01-02T01:00:00|0.0|n4",
        "other|there|cpu=8|2026-01-01T00:00:00|2026-01-02T01:00:00|0.0|n4",
        "c|part|cpu=12|2026-01-01T00:00:00|2026-01-02T01:00:00|0.0|",
        "c|gone|cpu=8|2026-01-01T00:00:00|2026-01-02T01:00:00|0.0|n9",
        "c|open|cpu=8|2026-01-01T00:00:00|Unknown|0.0|n1",
        "c|large|cpu=8|2026-01-01T00:00:00|2026-01-01T01:00:00|0.0|n[1-9000]",
        "c|torn|cpu=8|2026-01-01T00:00:00|2026-01-01T01:00:00|0.0|n[1-",
    ]
    printed.write_text("\n".join(["Cluster|Name|TRES|TimeStart|TimeEnd|UnusedWall|NodeNames", *rows]))
    with pytest.raises(InvalidCluster, match="time 0"):
        read_site_files([conf, printed])
    site, notes, _ = read_site_files([conf, printed], zero_at=1767225600.0)
    assert [(one.name, one.start_time, one.end_time, one.hosts) for one in site.reservations] == [
        ("maint", 60, 180, "n[1-2]"),
        ("maint from 2026-01-02T00:00:00", 86400, 90000, "n4"),
    ]
    assert [(note.line, note.text) for note in notes] == [
        *((1, "no column Flags"), (2, "maint"), (5, "there"), (6, "part"), (7, "n9"), (8, "TimeEnd=Unknown")),
        *((9, "large"), (10, "torn")),
    ]


def reserved(
    folder: Path, *rows: str, conf: str = "ClusterName=Alpha"
) -> tuple[list[tuple[str, float, float, str]], list[str]]:
    """Return name, start, end and hosts of reservations, and the notes, as the accounting tells them in seconds."""
    (folder / "slurm.conf").write_text(f"{conf}\nNodeName=n[1-4] CPUs=8\n")
    (folder / "past.txt").write_text("\n".join(["Cluster|Name|TRES|TimeStart|TimeEnd|Flags|NodeNames", *rows]))
    files = [folder / "slurm.conf", folder / "past.txt"]
    site, notes, _ = read_site_files(files, zero_at=1767225600.0)
    found = [(one.name, one.start_time, one.end_time, one.hosts) for one in site.reservations]
    return found, [f"{note.text} {note.reason}" for note in notes]


def shown_again(folder: Path, *records: str) -> tuple[list[tuple[float, float, list[float]]], list[str]]:
    """Return start, end and gaps of reservations of n1 as `scontrol` shows them, and the notes; it is Thursday."""
    (folder / "slurm.conf").write_text("ClusterName=c\nNodeName=n[1-4] CPUs=8\n")
    texts = [f"ReservationName=r{number} Nodes=n1 {record}" for number, record in enumerate(records)]
    (folder / "shown.txt").write_text("\n".join(texts))
    site, notes, _ = read_site_files([folder / "slurm.conf", folder / "shown.txt"], zero_at=1767225600.0)
    hours = [
        (one.start_time / 3600, one.end_time / 3600, [gap / 3600 for gap in one.repeat_times])
        for one in site.reservations
    ]
    return hours, [f"{note.text} {note.reason}" for note in notes]


def test_a_reservation_comes_again_as_its_flags_say(tmp_path: Path) -> None:
    found, notes = shown_again(
        tmp_path,
        "StartTime=2025-12-30T10:00:00 EndTime=2025-12-30T12:00:00 Flags=DAILY,SPEC_NODES",
        "StartTime=2026-01-01T10:00:00 EndTime=2026-01-01T10:30:00 Flags=HOURLY,FLEX",
        "StartTime=2026-01-01T10:00:00 EndTime=2026-01-01T12:00:00 Flags=WEEKLY",
        "StartTime=2026-01-01T10:00:00 EndTime=2026-01-01T12:00:00 Flags=WEEKDAY",
        "StartTime=2026-01-01T10:00:00 EndTime=2026-01-01T12:00:00 Flags=WEEKEND",
        "StartTime=2026-01-03T10:00:00 EndTime=2026-01-03T12:00:00 Flags=WEEKEND",
        "StartTime=2026-01-09T10:00:00 EndTime=2026-01-09T12:00:00 Flags=DAILY",
        "StartTime=2026-01-01T10:00:00 EndTime=2026-01-01T12:00:00 Flags=time_float",
        "StartTime=2025-12-30T10:00:00 EndTime=2025-12-30T12:00:00 Flags=MAINT",
        "StartTime=1767261600 EndTime=1767268800 Flags=WEEKDAY",
        "StartTime=1767261600 EndTime=1767268800 Flags=DAILY",
    )
    assert found == [
        (-38, -36, [24]),
        (10, 10.5, [1]),
        (10, 12, [168]),
        (10, 12, [24, 72, 24, 24, 24]),
        (58, 60, [24, 144]),
        (58, 60, [24, 144]),
        (202, 204, [24]),
        (10, 12, [24, 72, 24, 24, 24]),
        (10, 12, [24]),
    ]
    assert notes == [
        "r1 Flags=FLEX jobs that name it stay within its nodes and span here",
        "r1 comes again from 2026-01-01T10:00:00 on; when it came before, sacctmgr tells",
        "r4 comes on other days than that of StartTime=2026-01-01T10:00:00, which is left out",
        "r6 comes again from 2026-01-09T10:00:00 on; when it came before, sacctmgr tells",
        "r7 floats ahead of what time it is, and never begins: left out",
        "r9 EndTime=1767268800 tells no local day: the weekday is taken as of UTC",
        "1 reservations ended before time 0 or have no length: left out",
    ]


def test_past_reservations_of_one_name_are_one_that_comes_again(tmp_path: Path) -> None:
    days = [f"alpha|class|cpu=8|{1767225600 + day}|{1767229200 + day}|DAILY|n{1 + day // 86400}" for day in (0, 86400)]
    reserved(tmp_path, *days, "alpha|class|cpu=8|1767225700|1767229200||n4")
    site, notes, _ = read_site_files([tmp_path / "slurm.conf", tmp_path / "past.txt"], zero_at=1767225600.0)
    assert [(one.name, one.called, one.hosts) for one in site.reservations] == [
        ("class", "", "n1"),
        ("class from 1767225700", "", "n4"),
        ("class from 1767312000", "class", "n2"),
    ]
    assert [note.reason for note in notes] == [
        "begins before it has ended: jobs that name it are taken to mean the first"
    ]
    assert [one.hosts for one in site.reservations_called("class")] == ["n1", "n2"]
    assert read_site(write_site(site)) == site


def test_who_might_use_a_past_reservation_is_told_by_the_numbers_of_accounts(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_text("ClusterName=c\nNodeName=n1 CPUs=8\n")
    table = ["Account|User|Share|ParentName|ID", "root||1||1", "p||1|root|2", "q||1|root|3", "p|ann|1||4", "p|bob|1||5"]
    (tmp_path / "assoc.txt").write_text("\n".join([*table, "q|ann|1||6"]))
    rows = [
        f"r{number}|cpu=8|{1767225600 + number}|1767229200|MAINT|n1|{numbers}"
        for number, numbers in enumerate(["2,3", "5", "4,6", "4", "4,2", "5,99", ""])
    ]
    (tmp_path / "past.txt").write_text("\n".join(["Name|TRES|TimeStart|TimeEnd|Flags|NodeNames|Assocs", *rows]))
    files = [tmp_path / name for name in ("slurm.conf", "assoc.txt", "past.txt")]
    site, notes, _ = read_site_files(files, zero_at=1767225600.0)
    assert [(one.accounts, one.users) for one in site.reservations] == [
        (("p", "q"), ()),
        ((), ("bob",)),
        ((), ("ann",)),
        (("p",), ("ann",)),
        *[((), ())] * 3,
    ]
    assert [note.text for note in notes] == ["r5 Assocs=99", "r4"]
    (tmp_path / "assoc.txt").write_text("Account|User|Share\nroot||1\np||1\n")
    _, notes, _ = read_site_files(files, zero_at=1767225600.0)
    assert [note.text for note in notes][:2] == ["no column ParentName", "r0 Assocs=2,3"]


def test_rows_with_other_assocs_are_one_reservation_of_all_that_are_listed(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_text("ClusterName=C\nNodeName=n[1-2] CPUs=8\n")
    # Each cluster numbers its accounts on its own.
    table = ["Cluster|Account|User|Share|ParentName|ID", "c|root||1||1", "c|p||1|root|2", "c|q||1|root|3"]
    table += [f"c|{account}|{user}|1||{4 + at}" for at, (user, account) in enumerate(product(("ann", "bob"), "pq"))]
    (tmp_path / "assoc.txt").write_text("\n".join([*table, "d|root||1||1", "d|other||1|root|4"]))
    rows = [
        *("a|1000|2000|n1|4,5", "a|2000|9000|n1|4,5,6,7"),
        *(f"same|1000|2000|n1|{numbers}" for numbers in ("4,5", "6,7", "4,5")),
        *("open|1000|2000|n1|4,5", "open|2000|3000|n1|"),
        *("pairs|1000|2000|n1|4,7", "mixed|1000|2000|n1|4,5", "mixed|2000|3000|n1|2"),
    ]
    lines = [
        f"{name}|cpu=8|{1767225600 + int(start)}|{1767225600 + int(end)}||{hosts}|{numbers}"
        for name, start, end, hosts, numbers in (row.split("|") for row in rows)
    ]
    lines.append("float|cpu=8|1767225600|1767229200|Time_Float|n1|4")
    (tmp_path / "past.txt").write_text("\n".join(["Name|TRES|TimeStart|TimeEnd|Flags|NodeNames|Assocs", *lines]))
    files = [tmp_path / name for name in ("slurm.conf", "assoc.txt", "past.txt")]
    site, notes, _ = read_site_files(files, zero_at=1767225600.0)
    assert [(one.name, one.start_time, one.end_time, one.users, one.accounts) for one in site.reservations] == [
        ("a", 1000, 9000, ("ann", "bob"), ()),
        ("mixed", 1000, 3000, (), ()),
        ("open", 1000, 3000, (), ()),
        ("pairs", 1000, 2000, ("ann", "bob"), ("p", "q")),
        ("same", 1000, 2000, ("ann", "bob"), ()),
    ]
    assert [(note.text, note.reason.partition(":")[0]) for note in notes] == [
        ("2 rows", "are of other clusters than C, of 2"),
        ("float", "floats ahead of what time it is, and never begins"),
        ("a", "had other Assocs at other times"),
        ("mixed", "had other Assocs at other times"),
        ("mixed", "is of accounts and of users"),
        ("open", "had other Assocs at other times"),
        ("pairs", "is of users under some of their accounts"),
        ("same", "had other Assocs at other times"),
    ]
    assert {one.name for one in site.accounts} == {"root", "p", "q"}
    (tmp_path / "slurm.conf").write_text("NodeName=n[1-2] CPUs=8\n")
    with pytest.raises(InvalidCluster, match=r"assoc.txt holds accounts of several clusters \(c, d\).*ClusterName"):
        read_site_files(files, zero_at=1767225600.0)


def test_past_reservations_are_joined_in_any_order_of_rows(tmp_path: Path) -> None:
    found, notes = reserved(
        tmp_path,
        "alpha|a|cpu=8|1767232800|1767236400||n[1-2]",
        "alpha|a|cpu=8|1767229200|1767232800||n1,n2",
        "alpha|a|cpu=8|1767229200|1767232800||n2,n1",
        "alpha|b|cpu=8|2026-01-01T00:01:00|2026-01-01T00:02:00||n3",
        "alpha|b|cpu=8|2026-01-01T00:01:00|2026-01-01T00:02:00||n4",
        "alpha|b|cpu=8|2026-01-01T00:01:00|2026-01-01T00:02:00||n1",
    )
    assert found == [
        ("a", 3600, 10800, "n1,n2"),
        ("b", 60, 120, "n3"),
        ("b from 2026-01-01T00:01:00 on n4", 60, 120, "n4"),
        ("b from 2026-01-01T00:01:00 on n1", 60, 120, "n1"),
    ]
    assert len(notes) == 2


def test_reservations_that_no_job_meets_are_left_out(tmp_path: Path) -> None:
    spans = [(1767211200, 1767225600), (1767229200, 1767229200), (1767222000, 1767229200)]
    rows = [f"alpha|a|cpu=8|{start}|{end}||n{host}" for host, (start, end) in enumerate(spans, 1)]
    found, notes = reserved(tmp_path, *rows)
    assert found == [("a", -3600, 3600, "n3")]
    assert notes == ["2 reservations ended before time 0 or have no length: left out"]
    (tmp_path / "past.txt").write_text("ReservationName=r StartTime=1767225500 EndTime=1767225600 Nodes=n1\n")
    site, told, _ = read_site_files([tmp_path / "slurm.conf", tmp_path / "past.txt"], zero_at=1767225600.0)
    assert (site.reservations, [note.text for note in told]) == ((), ["1 reservations"])


def test_reservations_of_several_clusters_need_the_name_of_one(tmp_path: Path) -> None:
    rows = [f"{cluster}|r|cpu=8|1767229200|1767232800||n1" for cluster in ("alpha", "beta")]
    with pytest.raises(InvalidCluster, match=r"several clusters \(alpha, beta\).*ClusterName"):
        reserved(tmp_path, *rows, conf="")
    assert reserved(tmp_path, *rows)[1] == ["r is of cluster beta"]
