"""Studies whose clusters name series: what is settled and refused before anything is stored."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from apps.studies.definition import Definition
from apps.studies.grid import grid_runs
from apps.studies.sources import InvalidStudy
from apps.tasks.models import Series
from tests.files import written

pytestmark = pytest.mark.django_db

SERIES = {
    "maps": ("carbon", "time,carbon\n2022-01-01,80\n2022-01-02,180\n2022-01-03,30\n"),
    "roof": ("temperature", "time,temperature\n2022-01-01,10\n2022-01-02,20\n2022-01-03,15\n"),
}
GROUPS = [{"name": "n", "count": 1, "cores": 4, "cpu_idle_watts": 10, "cpu_busy_watts": 25}]
FILE = """name: hall
groups: [{name: n, count: 1, cores: 4}]
series: {carbon: maps}
"""


@pytest.fixture(autouse=True)
def _stored(tmp_path: Path) -> None:
    for name, (kind, text) in SERIES.items():
        call_command(
            "importseries", str(written(tmp_path / f"{name}.csv", text)), "--kind", kind, "--name", name, verbosity=0
        )


def definition(cluster: Any, **changes: Any) -> Definition:
    """Return a study of one run on a cluster."""
    document = {
        "name": "small",
        "workloads": [{"generate": "lublin", "tasks": 20}],
        "clusters": [cluster],
        "policies": ["fcfs"],
        "seeds": 1,
    }
    return Definition.from_json({**document, **changes})


def test_options_that_a_clusters_own_series_give_a_meaning_are_taken(tmp_path: Path) -> None:
    place = written(tmp_path / "hall.yaml", FILE)
    planned = definition(str(place), series_zero="begin", series_beyond="repeat")
    (run,) = grid_runs(planned)
    assert run.configuration.series == Series.objects.get(kind="carbon").reference
    assert (run.configuration.series_zero, run.configuration.series_beyond) == ("begin", "repeat")


def test_a_cluster_that_is_written_out_names_series_and_a_pue_by_the_temperature() -> None:
    cluster = {"groups": GROUPS, "series": {"temperature": "roof"}, "pue_by_temperature": [[10, 1.1], [25, 1.3]]}
    (run,) = grid_runs(definition(cluster))
    assert run.configuration.series == Series.objects.get(kind="temperature").reference
    assert run.configuration.pue_by_temperature == "10.0:1.1/25.0:1.3"


@pytest.mark.parametrize(
    ("cluster", "sentence"),
    [
        ({"groups": GROUPS, "series": {"carbon": "nowhere"}}, "There is no series 'nowhere'"),
        ({"groups": GROUPS, "series": {"carbon": "roof"}}, "is one of temperature"),
        ({"groups": GROUPS, "series": "maps"}, "series is not a mapping"),
        ({"cluster": "hpc-4", "series": {"carbon": "maps"}}, "series belongs to a cluster that lists its groups"),
        ({"cluster": "hpc-4", "frequency": 0}, "frequency"),
    ],
)
def test_what_a_cluster_says_in_vain_is_refused_before_the_study_is_stored(cluster: Any, sentence: str) -> None:
    with pytest.raises(InvalidStudy) as refused:
        definition(cluster)
    assert sentence in str(refused.value)
