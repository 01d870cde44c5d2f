"""Studies whose clusters are stored sites."""

from typing import Any

import pytest

from apps.results.models import Run
from apps.studies.play.execution import study_play
from apps.studies.sources import InvalidStudy
from apps.tasks.models import Site
from apps.tasks.sites.services import site_store
from scheduler_sim.engine.sites import read_site
from tests.studies.test_studies import definition

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_this_process")]

SITE = """
name: tiny
groups: [{name: thin, hosts: "c[1-2]", cores: 64}, {name: gpu, hosts: g1, cores: 64, gpus: 4}]
partitions: [{name: batch, hosts: "c[1-2]", is_default: true}, {name: gpu, hosts: g1}]
"""


def test_a_site_stands_among_the_clusters_with_nodes_added_to_its_partitions() -> None:
    site_store(site=read_site(SITE))
    clusters = ["hpc-64", {"site": "tiny"}, {"site": "tiny@1", "add_nodes": {"batch": 2}}]
    planned = definition(clusters=clusters, load_factors=[1.0], seeds=1)
    outcome = study_play(planned)
    assert (outcome.runs, outcome.finished) == (3, 3)
    found = {run.study_point["cluster"]: run for run in outcome.study.runs.all()}
    assert set(found) == {"tiny@1 batch+2", "tiny", "hpc-64"}
    larger, plain, alone = found["tiny@1 batch+2"], found["tiny"], found["hpc-64"]
    assert (larger.site, plain.site, alone.site) == (Site.objects.get(), Site.objects.get(), None)
    assert larger.configuration["site_changes"] == {"add_nodes": "batch=2"}
    assert [larger.cluster["groups"][0]["count"], plain.cluster["groups"][0]["count"]] == [4, 2]
    assert len({larger.digest, plain.digest, alone.digest}) == 3
    study_play(planned)
    assert Run.objects.count() == 3, "nothing is played twice"


@pytest.mark.parametrize(
    ("cluster", "changes", "sentence"),
    [
        ({"site": "other"}, {}, "There is no site 'other'. Sites: tiny."),
        ({"site": "tiny", "cluster": "hpc-4"}, {}, "is a site or lists nodes of its own, not both"),
        ({"site": "tiny", "add_nodes": {"x": 1}}, {}, "Site tiny has no node group or partition 'x'"),
        ({"site": "tiny"}, {"on_oversize": "clamp"}, "On site tiny tasks are not cut to size"),
        ({"site": "tiny"}, {"policies": ["las"]}, "las stops running tasks, which on a site only slurm does"),
        ({"cluster": "hpc-64"}, {"policies": ["slurm"]}, "slurm is a site's own scheduler: name a stored site"),
    ],
)
def test_a_site_that_cannot_be_played_is_refused(
    cluster: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    site_store(site=read_site(SITE))
    with pytest.raises(InvalidStudy) as refused:
        definition(clusters=[cluster], **changes)
    assert sentence in str(refused.value)
