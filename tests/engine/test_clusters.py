"""Clusters: presets, description files, node lists, and the sentences that refuse bad ones."""

import json

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, InvalidCluster, OversizedTasks, Workload
from scheduler_sim.engine.clusters.oversize import fit_workload, oversized
from scheduler_sim.engine.clusters.presets import load_cluster


def described(**group):
    return {"name": "lab", "groups": [{"name": "a", "count": 2, "cores": 4, **group}]}


@pytest.mark.parametrize(
    ("name", "nodes", "cores", "gpus"),
    [("workstation", 1, 16, 4), ("hpc-256", 1, 256, 0), ("dgx-3", 3, 384, 24), ("openb", 1523, 125514, 6212)],
)
def test_presets_have_the_devices_they_promise(name, nodes, cores, gpus):
    cluster = load_cluster(name)
    assert (cluster.nodes, cluster.cores, cluster.gpus) == (nodes, cores, gpus)


def test_auto_is_a_pool_of_what_the_trace_says():
    assert load_cluster("auto", max_processors=128).cores == 128
    with pytest.raises(InvalidCluster, match="does not say how many processors"):
        load_cluster("auto")


@pytest.mark.parametrize(("name", "nearest"), [("openbb", "openb"), ("hpc256", "hpc-N"), ("wrkstation", "workstation")])
def test_an_unknown_preset_is_refused_with_the_nearest(name, nearest):
    with pytest.raises(InvalidCluster, match=f"Did you mean {nearest}"):
        load_cluster(name)


@pytest.mark.parametrize("preset", ["workstation", "openb", "hpc-8", "dgx-2"])
def test_a_description_survives_json_and_yaml(preset, tmp_path):
    cluster = load_cluster(preset)
    for suffix in (".json", ".yaml"):
        path = tmp_path / f"cluster{suffix}"
        path.write_text(json.dumps(cluster.as_json()))
        assert load_cluster(path) == cluster


@pytest.mark.parametrize(
    ("group", "sentence"),
    [
        ({"cores": -1}, "cores is -1"),
        ({"gpus": 65}, "gpus is 65"),
        ({"cores": 0}, "neither cores nor GPUs"),
        ({"cpu_speed": 0}, "cpu_speed is 0"),
        ({"memory_mb": "big"}, "memory_mb is 'big'"),
        ({"speed": 2}, "unknown keys: speed"),
        ({"gpu_busy_watts": float("nan")}, "gpu_busy_watts is nan"),
        ({"outages": [{"start_time": 5, "end_time": 1, "nodes": 1}]}, "before its start"),
        ({"outages": [{"start_time": 1, "end_time": 5, "nodes": 3}]}, "not 1 to 2"),
    ],
)
def test_a_bad_value_is_refused_with_its_name(group, sentence):
    with pytest.raises(InvalidCluster, match=sentence):
        Cluster.from_json(described(**group))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("c.json", b"{", "not valid JSON"),
        ("c.yaml", b"a: [", "not valid YAML"),
        ("c.json", b"\xff\xfe\x00", "UTF-8"),
        ("c.json", b"", "is empty"),
        ("c.csv", b"a,b\n1,2\n", "lacks the columns"),
        ("c.csv", b"sn,cpu_milli,memory_mib,gpu,model\nx,many,1,1,T4\n", "Line 2"),
        ("c.txt", b"x", "no cluster file"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidCluster, match=sentence):
        load_cluster(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidCluster, match="cannot be read"):
        load_cluster(tmp_path / "none.json")


def workload(**columns):
    return Workload.from_columns(arrival_time=[0, 1, 2, 3], runtime=[1, 1, 1, 1], **columns)


def test_tasks_that_never_fit_are_counted_dropped_or_cut():
    tasks = workload(cpus=[1, 129, 0, 4], gpus=[0, 0, 17, 8], memory_mb=[0, 0, 0, 9e9])
    cluster = load_cluster("dgx-2")
    assert oversized(tasks, cluster).tolist() == [2, 3]
    with pytest.raises(OversizedTasks) as caught:
        fit_workload(tasks, cluster)
    assert (caught.value.count, caught.value.task_ids) == (2, (3, 4))
    dropped, rows = fit_workload(tasks, cluster, on_oversize="drop")
    assert (len(dropped), rows.tolist()) == (2, [0, 1])
    clamped, rows = fit_workload(tasks, cluster, on_oversize="clamp")
    assert len(rows) == 4
    assert not len(oversized(clamped, cluster))
    np.testing.assert_array_equal(clamped.cpus[:2], tasks.cpus[:2])


def test_a_gpu_type_that_the_cluster_lacks_never_fits():
    tasks = workload(gpus=[1, 1, 1, 1], gpu_type=["T4", "A100", "T4|A100", ""])
    assert oversized(tasks, load_cluster("dgx-1")).tolist() == [0]
