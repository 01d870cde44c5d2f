"""The order multifactor on a site: weighed as the site weighs it, with any backfilling."""

import numpy as np
from msgspec import structs

from scheduler_sim.engine.sites import Site, read_site
from scheduler_sim.engine.sites.parts import Priority
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Workload
from tests.engine.ruled_site import played
from tests.engine.test_site_kernel import jobs, small

SHARED = """
name: shared
groups: [{hosts: n1, cores: 8}]
partitions: [{name: batch, hosts: n1, is_default: true}]
accounts:
- {name: lab}
- {name: lab, user: ann}
- {name: lab, user: bob}
"""


def weighed(site: Site, **weights: int) -> Site:
    """Return the site with these weights of its priority and no others."""
    return structs.replace(site, priority=structs.replace(Priority(), **weights))


def of_two_users(user: list[str], arrival: list[float], runtime: list[float], cpus: list[int]) -> Workload:
    return Workload.from_columns(
        arrival_time=np.array(arrival),
        runtime=np.array(runtime),
        duration_estimate=np.array(runtime),
        cpus=np.array(cpus),
        user=user,
        group=["lab"] * len(user),
        requests=Requests.blank(len(user)),
    )


def test_multifactor_on_a_site_puts_who_used_less_first_and_easy_lets_nobody_delay_them():
    site = weighed(read_site(SHARED), fair_share_weight=1000)
    # Ann holds the node until 1,000; bob's task goes first then, and only what ends by then on free cores goes before.
    workload = of_two_users(
        ["ann", "ann", "bob", "ann", "ann"], [0, 10, 20, 30, 40], [1000, 50, 100, 60, 2000], [6, 8, 8, 2, 2]
    )
    assert played("multifactor+easy", workload, site).outcome().start_time.tolist() == [0, 1100, 1000, 30, 1150]
    assert played("fcfs+easy", workload, site).outcome().start_time.tolist() == [0, 1000, 1050, 30, 1150]


def test_multifactor_by_age_alone_is_first_come_first_served():
    site, workload = weighed(small(), age_weight=10**6), jobs(4)
    one, other = (played(policy, workload, site).outcome() for policy in ("multifactor+easy", "fcfs+easy"))
    assert np.array_equal(one.start_time, other.start_time)


def test_multifactor_has_weights_of_its_own_where_the_site_has_none():
    site, workload = weighed(small()), jobs(1)
    own = weighed(small(), age_weight=1000, job_size_weight=500, fair_share_weight=2000, partition_weight=1000)
    one, other = (played("multifactor+easy", workload, each).outcome() for each in (site, own))
    assert np.array_equal(one.start_time, other.start_time)
