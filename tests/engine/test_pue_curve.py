"""PUE by temperature: the curve, series made by it, and what clusters and sites say of their electricity."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Cluster
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.errors import InvalidCluster, InvalidParameter, InvalidTrace
from scheduler_sim.engine.series import PueCurve, StepSeries
from scheduler_sim.engine.series.reading import read_series
from scheduler_sim.engine.sites import Site, read_site
from tests.files import written

CURVE = [[10, 1.1], [25, 1.3], [35, 1.5]]
GROUP = {"name": "n", "count": 2, "cores": 4}


def test_a_pue_is_linear_between_points_and_level_beyond_them_step_by_step():
    temperature = StepSeries(
        np.array([0.0, 10.0, 20.0, 30.0, 40.0]), np.array([-4.0, 10.0, 16.0, 30.0, 40.0]), 50.0, "hold"
    )
    pue = PueCurve.of_pairs(CURVE).of(temperature)
    assert pue.values.tolist() == pytest.approx([1.1, 1.1, 1.18, 1.4, 1.5], abs=1e-15)
    assert (pue.times.tolist(), pue.end, pue.beyond) == (temperature.times.tolist(), 50.0, "hold")
    assert (
        PueCurve.read("10:1.1/25:1.3/35:1.5")
        == PueCurve.of_pairs(CURVE)
        == PueCurve.read(PueCurve.of_pairs(CURVE).as_text())
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10", "written as 10:1.1/25:1.3"),
        ("10:x", "written as"),
        ("10:0.9", "at 10 C the PUE is 0.9"),
        ("10:inf", "not a number from 1 up"),
        ("10:1.2/10:1.3", "10 C does not lie above"),
        ("/".join(f"{at}:1.2" for at in range(51)), "51 points, not 1 to 50"),
    ],
)
def test_a_curve_without_meaning_is_refused(text, said):
    with pytest.raises(InvalidParameter, match=said):
        PueCurve.read(text)


def test_absolute_zero_is_a_temperature_in_every_unit(tmp_path: Path):
    for unit, zero in (("C", "-273.15"), ("F", "-459.67"), ("K", "0")):
        file = written(tmp_path / f"{unit}.csv", f"time,temp\n0,{zero}\n3600,10\n")
        assert read_series(file, kind="temperature", unit=unit).steps.values[0] == -273.15
    file = written(tmp_path / "below.csv", "time,temp\n0,-459.68\n3600,10\n")
    with pytest.raises(InvalidParameter, match=r"falls below -273\.15"):
        read_series(file, kind="temperature", unit="F")


def test_a_whole_number_above_what_a_float_holds_is_no_number_of_a_description(tmp_path: Path):
    huge = 10**400
    curve = {"series": {"temperature": "roof"}, "pue_by_temperature": [[10, huge]]}
    for wrong, said in (
        ({"groups": [GROUP], **curve}, "is a list of pairs"),
        ({"groups": [GROUP | {"cpu_speed": huge}]}, "cpu_speed is 1000.*not above 0"),
        ({"groups": [GROUP | {"cpu_busy_watts": huge}]}, "cpu_busy_watts is 1000.*not a number from 0 up"),
        ({"groups": [GROUP | {"frequencies": [{"cpu_busy_watts": huge}]}]}, "of a step of frequencies is 1000"),
        ({"groups": [GROUP | {"sleep": {"suspend_time": huge, "resume_time": 1}}]}, "suspend_time of a sleep is 1000"),
    ):
        with pytest.raises(InvalidCluster, match=said):
            Cluster.from_json({"name": "hall", **wrong})
    for suffix in ("json", "yaml"):
        longer = written(tmp_path / f"longer.{suffix}", f'{{"name": "a", "groups": {"9" * 5000}}}')
        with pytest.raises(InvalidCluster, match="is not valid"):
            load_cluster(longer)


def test_a_description_in_json_that_yaml_does_not_read_is_refused_without_a_line(tmp_path: Path):
    text = '{"name"\n:"ab","groups":[{"name":"n","count":1,"cores":4}],"pue_by_temperature":5}'
    with pytest.raises(InvalidCluster, match=r"^ab\.json: pue_by_temperature is a list of pairs"):
        load_cluster(written(tmp_path / "ab.json", text))


def test_temperatures_are_kept_in_degrees_celsius(tmp_path: Path):
    values = {"C": "20\n-5", "F": "68\n23", "K": "293.15\n268.15"}
    for unit, (first, second) in ((unit, text.split()) for unit, text in values.items()):
        file = written(tmp_path / f"{unit}.csv", f"time,temp\n0,{first}\n3600,{second}\n")
        read = read_series(file, kind="temperature", unit=unit)
        assert read.steps.values.tolist() == pytest.approx([20.0, -5.0], abs=1e-12)
    file = written(tmp_path / "told.csv", "time,temperature_2m (°F)\n0,68\n3600,50\n")
    with pytest.raises(InvalidTrace, match="its name tells F, and values are taken as C"):
        read_series(file, kind="temperature")
    written(tmp_path / "kelvin.csv", "time,temperature (K)\n0,280\n3600,281\n")
    with pytest.raises(InvalidTrace, match="its name tells K"):
        read_series(tmp_path / "kelvin.csv", kind="temperature")
    assert read_series(file, kind="temperature", unit="F").steps.values.tolist() == pytest.approx([20.0, 10.0])


def test_clusters_and_sites_take_series_and_say_them_again():
    document: dict[str, Any] = {"name": "hall", "groups": [GROUP]}
    assert "series" not in Cluster.from_json(document).as_json()
    document |= {"series": {"carbon": "nl-2022", "temperature": "roof"}, "pue_by_temperature": CURVE}
    cluster = Cluster.from_json(document)
    assert cluster.series == (("carbon", "nl-2022"), ("temperature", "roof"))
    assert Cluster.from_json(cluster.as_json()) == cluster
    site = Site.from_json(document)
    assert site.cluster.series == cluster.series
    assert Site.from_json(site.as_json()).as_json() == site.as_json()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("series: {carbon: nl}\n", 0, ""),
        ("series:\n  carbon: nl\n  coal: nl\n", 5, "There is no kind of series called 'coal'"),
        ("series:\n  carbon: [nl]\n", 4, "carbon is ['nl'], not the name of a series"),
        ("series:\n  carbon: a,b\n", 4, "carbon is 'a,b'"),
        ("series: nl\n", 3, "series is not a mapping"),
        ("pue_by_temperature: [[10, 1.1]]\n", 3, "has no meaning without a series of temperature"),
        ("series: {temperature: t}\npue_by_temperature: [10, 1.1]\n", 4, "is a list of pairs"),
        ("series: {temperature: t}\npue_by_temperature: [[10, 0.5]]\n", 4, "at 10 C the PUE is 0.5"),
    ],
)
def test_what_a_description_says_of_series_is_refused_with_its_line_and_key(tmp_path: Path, text, line, said):
    whole = f"name: hall\ngroups: [{{name: n, count: 2, cores: 4}}]\n{text}"
    file = written(tmp_path / "hall.yaml", whole)
    if not line:
        assert load_cluster(file).series == (("carbon", "nl"),)
        return
    for read in (lambda: load_cluster(file), lambda: read_site(whole, name="hall.yaml")):
        with pytest.raises(InvalidCluster) as refused:
            read()
        assert str(refused.value).startswith(f"hall.yaml, line {line}: ")
        assert said in str(refused.value)
