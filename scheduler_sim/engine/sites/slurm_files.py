"""A site out of the files that Slurm is configured by, or that its tools print."""

from collections.abc import Callable, Mapping
from pathlib import Path

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.packed.unpack import ENDINGS
from scheduler_sim.engine.sites import (
    slurm_accounts,
    slurm_conf,
    slurm_events,
    slurm_reserved,
    slurm_show,
    slurm_topology,
)
from scheduler_sim.engine.sites.documents import file_bytes
from scheduler_sim.engine.sites.reading import Draft, Note
from scheduler_sim.engine.sites.site import Site

Reader = Callable[..., None]

SOURCES: Mapping[str, tuple[str, Reader]] = {
    "nodes": ("scontrol show node", slurm_show.read_nodes),
    "partitions": ("scontrol show partition", slurm_show.read_partitions),
    "config": ("scontrol show config", slurm_show.read_config),
    "dump": ("sacctmgr dump CLUSTER", slurm_accounts.read_dump),
    "assoc": ("sacctmgr show assoc -P", slurm_accounts.read_associations),
    "qos": ("sacctmgr show qos -P", slurm_accounts.read_qos),
}
"""What may be read beside or instead of slurm.conf, with the command that prints it, in the order of reading."""


def read_slurm_site(
    files: Mapping[str, Path],
    *,
    slurm_conf_file: Path | None = None,
    gres_conf_file: Path | None = None,
    topology_file: Path | None = None,
    reservations_file: Path | None = None,
    events_file: Path | None = None,
    zero_at: float | None = None,
    name: str = "",
) -> tuple[Site, list[Note]]:
    """Return a site and what of the files was not understood.

    Args:
        files: by a key of `SOURCES`.
        slurm_conf_file, gres_conf_file, topology_file: the configuration; includes are looked for beside each.
        reservations_file: what `scontrol show reservation` or `slurm_reserved.COMMAND` printed.
        events_file: what `sacctmgr show event -P` printed.
        zero_at: the instant of time 0, in seconds since 1970, which reservations and events need.
        name: of the site; the cluster's own when empty.

    Raises:
        InvalidCluster: a file that cannot be read or is not what it should be, or parts that contradict each other.
    """
    draft = Draft()
    if slurm_conf_file is not None:
        folder = slurm_conf_file.parent
        draft = slurm_conf.read_slurm_conf(
            slurm_text(slurm_conf_file), read=lambda included: _included(folder, included), name=slurm_conf_file.name
        )
    for key, (_, reader) in SOURCES.items():
        if key in files:
            reader(slurm_text(files[key]), draft, name=files[key].name)
    if gres_conf_file is not None:
        folder = gres_conf_file.parent
        slurm_conf.read_gres_conf(
            slurm_text(gres_conf_file),
            draft,
            read=lambda included: _included(folder, included),
            name=gres_conf_file.name,
        )
    if topology_file is not None:
        beside = topology_file.parent
        slurm_topology.read_topology(
            slurm_text(topology_file), draft, read=lambda included: _included(beside, included), name=topology_file.name
        )
    for file, reader in (
        (reservations_file, slurm_reserved.read_reservations),
        (events_file, slurm_events.read_events),
    ):
        if file is not None:
            reader(slurm_text(file), draft, name=file.name, zero_at=zero_at)
    if name:
        draft.name = name
    if not draft.nodes:
        raise InvalidCluster("The files name no node: they lack NodeName lines, or the output of scontrol show node.")
    return draft.site(), draft.notes


def slurm_text(file: Path) -> str:
    """Return the text of a file of Slurm, unpacked, with a mark in place of bytes that no text holds.

    Raises:
        InvalidCluster: a file that cannot be read, is damaged, or is too large.
    """
    return file_bytes(file).decode("utf-8", "replace").replace("\0", "\ufffd")


def _included(folder: Path, name: str) -> str:
    """Return an included file's text; only files of the folder of the one that includes them are looked at.

    Raises:
        OSError: it cannot be read.
    """
    file = folder / Path(name).name
    if not file.exists():
        file = next((packed for end in sorted(ENDINGS) if (packed := folder / f"{file.name}{end}").exists()), file)
    file.stat()  # its own words where it is missing
    try:
        return slurm_text(file)
    except InvalidCluster as error:
        raise OSError(str(error).rstrip(".")) from error
