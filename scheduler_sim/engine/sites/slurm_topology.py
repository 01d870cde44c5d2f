"""The switches of topology.conf, which Slurm's topology/tree reads.

Grammar: https://slurm.schedmd.com/topology.conf.html (22.05 to 24.11): `SwitchName=... Nodes=...` and
`SwitchName=... Switches=...`, keys in any case, `include FILE` as in slurm.conf.
"""

from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts, most_named
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites.reading import Draft
from scheduler_sim.engine.sites.slurm_conf import Read, lines, settings_of_line


def read_topology(text: str, draft: Draft, *, read: Read, name: str = "topology.conf") -> None:
    """Take the switches into a site whose nodes are known; each says what hangs on it.

    Raises:
        InvalidCluster: a host list that cannot be read, or a text that names no switch.
    """
    most = most_named(len(draft.nodes))
    for place, line in lines(draft, text, read, name):
        stated = settings_of_line(line)
        switch = stated.pop("switchname", "")
        if not switch:
            place.note(
                line,
                "not understood: blocks of nodes are not told apart" if "blockname" in stated else "not understood",
            )
            continue
        stated.pop("linkspeed", None)
        with place.blamed():
            nodes = expand_hosts(stated.pop("nodes", ""), most=most)
            missing = [node for node in nodes if node not in draft.nodes]
            if missing:
                place.note(", ".join(missing[:5]), "is no node of the site")
            entry = {"name": switch, "switches": stated.pop("switches", "")}
            if not entry["switches"]:
                entry = {"name": switch, "nodes": fold_hosts(node for node in nodes if node in draft.nodes)}
            elif nodes:
                place.note(switch, "has switches, so that its nodes have no effect")
        for key, value in stated.items():
            place.note(f"{key}={value}", "has no effect here")
        if not draft.switches:
            place.note("SwitchName", "switches are kept with the site, whose scheduler does not place jobs by them")
        draft.switches[switch] = entry
    if not draft.switches:
        raise InvalidCluster(f"{name} names no switch: it has no line like SwitchName=s0 Nodes=n[01-16].")
