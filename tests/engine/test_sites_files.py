"""Files of a site told apart by what is in them, and what is wrong in them with its line."""

import bz2
import gzip
import os
from pathlib import Path

import pytest

from scheduler_sim.engine.errors import InvalidCluster, InvalidTrace
from scheduler_sim.engine.packed.unpack import unpacked_text
from scheduler_sim.engine.sites import read_site, read_site_file, read_site_files, read_slurm_site
from tests.engine.test_traces_packed import PACK

CONF = "ClusterName=tiny\nInclude parts.conf\nNodeName=n[1-4] CPUs=8 Gres=gpu:2\n"
PARTITIONS = "PartitionName=main Nodes=n[1-4] MaxTime=60\n"
FILES = {
    "slurm.conf": CONF,
    "parts.conf": PARTITIONS,
    "gres.conf": "NodeName=n[1-4] Name=gpu Type=a100\n",
    "accounts.cfg": "# a dump\nCluster - 'tiny':QOS='normal'\nParent - 'root'\nUser - 'ann'\n",
    "qos.txt": "Name|Priority|GraceTime\nnormal|30|00:00:00\n",
    "reservations.txt": "No reservations in the system\n",
}
NODES = (
    "NodeName=n1 Arch=x86_64 CoresPerSocket=8\n   CPUAlloc=0 CPUEfctv=8 CPUTot=8 RealMemory=1000 State=IDLE Weight=1\n"
)
SHOWN = "PartitionName=main\n   Default=YES Nodes=n1 State=UP TotalCPUs=8 TotalNodes=1\n"
CONFIG = "Configuration data as of 2026-11-26T11:13:06\nClusterName = shown\n"


def written(folder: Path, files: dict[str, str]) -> list[Path]:
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def test_files_are_told_by_what_is_in_them_whatever_their_order(tmp_path: Path) -> None:
    files = written(tmp_path, FILES)
    site, notes, read = read_site_files(reversed(files))
    assert (site.name, site.cluster.nodes, site.cluster.groups[0].gpu_type) == ("tiny", 4, "a100")
    assert [partition.max_time for partition in site.partitions] == [3600]
    assert [one.user for one in site.accounts if one.user] == ["ann"]
    assert [one.name for one in site.qos] == ["normal"]
    assert (notes, len(read)) == ([], len(files))


@pytest.mark.parametrize("packing", PACK)
def test_packed_files_are_read_as_what_is_in_them(tmp_path: Path, packing: str) -> None:
    # Their endings are those by which an included file is found beside slurm.conf.
    ending = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst", "zip": ".zip"}[packing]
    for name, text in FILES.items():
        (tmp_path / f"{name}{ending}").write_bytes(PACK[packing](text.encode()))
    files = sorted(tmp_path.iterdir())
    plain = read_site_files(written(tmp_path, FILES))[0]
    for name in FILES:
        (tmp_path / name).unlink()
    assert read_site_files(files)[0] == plain
    conf, gres = (tmp_path / f"{name}.conf{ending}" for name in ("slurm", "gres"))
    assert read_slurm_site({}, slurm_conf_file=conf, gres_conf_file=gres)[0].cluster == plain.cluster
    described = tmp_path / f"lab.yaml{ending}"
    described.write_bytes(PACK[packing](b"groups:\n- {hosts: a1, cores: 4}\n"))
    assert read_site_files([described])[0].name == read_site_file(described).name == "lab"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (gzip.compress(b"NodeName=n1 CPUs=8\n")[:-9], "slurm.conf.gz is a damaged gzip file: it ends too early"),
        (bz2.compress(gzip.compress(b" " * 20_000_000)), "slurm.conf.gz expands more than 200 times"),
        (b"7z\xbc\xaf\x27\x1c", "slurm.conf.gz is a 7z archive; unpack it first"),
    ],
    ids=["cut", "bomb", "7z"],
)
def test_packed_files_that_cannot_be_unpacked_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "slurm.conf.gz").write_bytes(content)
    with pytest.raises(InvalidCluster, match=sentence):
        read_site_files([tmp_path / "slurm.conf.gz"])
    (tmp_path / "slurm.conf").write_text("NodeName=n1 CPUs=8\ninclude more.conf\n")
    (tmp_path / "more.conf").write_bytes(content)
    _, notes, _ = read_site_files([tmp_path / "slurm.conf"])
    assert [note.text for note in notes] == ["include more.conf"]
    assert sentence.split(" ", 1)[1] in notes[0].reason


def test_a_pipe_is_read_as_a_file_is() -> None:
    def piped(content: bytes) -> Path:
        read, write = os.pipe()
        os.write(write, content)
        os.close(write)
        return Path(f"/dev/fd/{read}")

    for content in (b"NodeName=n1 CPUs=8\n", gzip.compress(b"NodeName=n1 CPUs=8\n")):
        conf = piped(content)
        assert read_slurm_site({}, slurm_conf_file=conf)[0].hosts == ("n1",)
        os.close(int(conf.name))
    large = piped(b"12345")
    with pytest.raises(InvalidTrace, match="the pipe is larger than the limit of 4 bytes"):
        unpacked_text("the pipe", large.open("rb"), 4)
    os.close(int(large.name))


def test_a_text_in_utf_16_is_read(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_text("NodeName=n1 CPUs=8\n", encoding="utf-16")
    assert read_site_files([tmp_path / "slurm.conf"])[0].hosts == ("n1",)


def test_what_scontrol_prints_stands_for_the_configuration(tmp_path: Path) -> None:
    files = written(tmp_path, {"a.txt": NODES, "b.txt": SHOWN, "c.txt": CONFIG})
    site, _, _ = read_site_files(files)
    assert (site.name, site.cluster.cores, site.partitions[0].hosts) == ("shown", 8, "n1")


def test_a_name_is_given_to_files_of_slurm(tmp_path: Path) -> None:
    assert read_site_files(written(tmp_path, FILES), name="other")[0].name == "other"


@pytest.mark.parametrize("file", ["site.yaml", "site"])
def test_a_description_stands_alone(tmp_path: Path, file: str) -> None:
    (described,) = written(tmp_path, {file: "name: lab\ngroups:\n- {hosts: a1, cores: 4}\n"})
    assert read_site_files([described])[0].name == "lab"
    with pytest.raises(InvalidCluster, match=r"describes a whole site.*: slurm\.conf"):
        read_site_files([described, *written(tmp_path, {"slurm.conf": CONF})])


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "No file of a site"),
        ({"sinfo.txt": "PARTITION AVAIL\nbatch up\n"}, r"sinfo.txt is nothing .* slurm.conf, gres.conf"),
        ({"jobs.psv": "JobID|User\n1|ann\n"}, "jobs.psv is what sacct printed"),
        ({"slurm.conf": CONF, "other.conf": PARTITIONS, "parts.conf": PARTITIONS}, r"slurm.conf and other.conf"),
        ({"a.txt": NODES, "b.txt": NODES}, "both look like scontrol show node"),
        ({"a.cfg": FILES["accounts.cfg"], "b.txt": "Account|User|Share\nroot||1\n"}, "both hold the accounts"),
        ({"a.conf": "Include b.conf\n", "b.conf": "Include a.conf\n"}, "none of them is slurm.conf"),
        (
            {"a.txt": NODES, "r.txt": "ReservationName=r StartTime=2026-01-01T00:00:00 Nodes=n1\n"},
            "r.txt holds reservations, which need the instant",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidCluster, match=sentence):
        read_site_files(written(tmp_path, files))


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"slurm.conf": "ClusterName=t\nNodeName=n[1-4 CPUs=8\n"}, "slurm.conf, line 2: The brackets"),
        (
            {"slurm.conf": "NodeName=n[1-4] CPUs=8\n\nPartitionName=p Nodes=n[3-5]\n"},
            "slurm.conf, line 3: Site site has no node n5.",
        ),
        (
            {"slurm.conf": CONF, "parts.conf": "\nPartitionName=p Nodes=x\n"},
            "parts.conf, line 2: Site tiny has no node",
        ),
        (
            {"slurm.conf": "NodeName=n1 CPUs=8\n", "q.txt": "Name|Priority|GraceTime|Preempt\nhigh|3|0|low\n"},
            "q.txt, line 2: QOS high preempts low",
        ),
        (
            {"slurm.conf": "NodeName=n1 CPUs=8\n", "d.cfg": "Parent - 'a'\nAccount - 'b':Fairshare=1\n"},
            "d.cfg, line 2: Account b is below a",
        ),
    ],
)
def test_a_contradiction_in_files_of_slurm_is_named_with_its_line(
    tmp_path: Path, files: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidCluster, match=sentence.replace("[", r"\[")):
        read_site_files(written(tmp_path, files))


RESERVED = ("groups:", "- {hosts: a1, cores: 4}", "reservations:")


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ["groups:", "- {hosts: a1, cores: 4}", "- {hosts: b1, cores: -4}"],
            r"line 3: groups\[1\].cores: Node group b1: cores is -4",
        ),
        (["groups:", "- {hosts: a1, cores: 4}", "- {hosts: b1}"], "line 3: Node group b1 lacks cores"),
        (["groups:", "- {hosts: 'a[1-2', cores: 4}"], r"line 2: groups\[0\].hosts: The brackets"),
        (["groups:", "- {hosts: a1, cores: 4}", "- {hosts: a1, cores: 4}"], "line 3: .*two nodes called a1"),
        (
            ["groups:", "- {hosts: a1, cores: 4}", "partitions:", "- name: p", "  hosts: a2"],
            r"line 5: partitions\[0\].hosts: Site site has no node a2",
        ),
        (["groups:", "- {hosts: a1, cores: 4}", "qos:", "- {name: q}", "- {name: q}"], "line 5: .*two QOSs called q"),
        (
            ["groups:", "- {hosts: a1, cores: 4}", "reservations:", "- {name: r, start_time: 5, end_time: 1}"],
            r"line 4: reservations\[0\].end_time: Reservation r ends before it starts",
        ),
        (
            [*RESERVED, "- {name: r, start_time: 0, end_time: 90, repeat_times: [100, 60]}"],
            r"line 4: reservations\[0\].repeat_times: Reservation r begins again 60 s after its start, and",
        ),
        (
            [*RESERVED, "- {name: r, start_time: -1.0e+18, end_time: -1.0e+18, repeat_times: [60]}"],
            r"line 4: reservations\[0\].start_time: Reservation r comes again, and starts more than 1e\+11 s from",
        ),
        (
            [
                *RESERVED,
                "- {name: r, start_time: 0, end_time: 100}",
                "- {name: s, start_time: 20, end_time: 50, called: r}",
            ],
            r"line 5: reservations\[1\].start_time: Reservation s begins after r, before that is over, and both are",
        ),
        (
            [
                *RESERVED,
                "- {name: s, start_time: 200, end_time: 250, called: r}",
                "- {name: r, start_time: 0, end_time: 100, repeat_times: [300]}",
            ],
            r"line 4: .*Reservation s begins after r, which comes again without end, and both are called r",
        ),
        (
            ["groups:", "- {hosts: a1, cores: 4}", "accounts:", "- {name: a, user: ann}"],
            r"line 4: accounts\[0\].name: User ann is in a",
        ),
    ],
)
def test_a_fault_of_a_description_is_named_with_its_line_and_key(lines: list[str], sentence: str) -> None:
    with pytest.raises(InvalidCluster, match=sentence):
        read_site("\n".join(lines), name="site.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "groups: &g [*g]\n",
        "a: &a {k: 1}\n"
        + "".join(
            f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
    ],
    ids=["itself", "merged"],
)
def test_a_description_that_repeats_itself_without_end_is_refused_at_once(text: str) -> None:
    with pytest.raises(InvalidCluster, match="references stand for"):
        read_site(text)


def test_short_texts_that_stand_for_very_many_nodes_are_refused_before_they_are_spelled_out(tmp_path: Path) -> None:
    (conf,) = written(tmp_path, {"slurm.conf": "NodeName=a[1-600000] CPUs=1\nNodeName=b[1-600000] CPUs=1\n"})
    with pytest.raises(InvalidCluster, match=r"slurm.conf, line 2: .* more than 400,000 nodes"):
        read_site_files([conf])
    groups = "groups:\n- {hosts: 'a[1-600000]', cores: 1}\n- {hosts: 'b[1-600000]', cores: 1}\n"
    with pytest.raises(InvalidCluster, match=r"line 3: groups\[1\].hosts: .* more than 400,000 nodes"):
        read_site(groups)
    partitions = "groups: [{hosts: a1, cores: 1}]\npartitions: [{name: p, hosts: 'a[1-900000]'}]\n"
    with pytest.raises(InvalidCluster, match=r"partitions\[0\].hosts: .* more than 1,100 nodes"):
        read_site(partitions)
