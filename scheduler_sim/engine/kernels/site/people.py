"""Who tasks belong to on a site: account, user, and quality of service."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.clusters.demand import task_kinds
from scheduler_sim.engine.kernels.site.reasons import CODES, NO_REASON
from scheduler_sim.engine.sites import Account, ShareTree, Site
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import IntArray, Labels, Workload


@dataclass(frozen=True, eq=False)
class People:
    """Who n tasks belong to, shape (n,) each.

    Attributes:
        account: its name; a user's only account where the task names none.
        association: the entry of the site's `ShareTree` of its user in its account, -1 for none.
        qos: a number of the site's, -1 for none.
        refusal: why the site takes no such task, else 0.
        tree: the site's.
    """

    account: Labels
    association: IntArray
    qos: IntArray
    refusal: IntArray
    tree: ShareTree

    @classmethod
    def of(cls, workload: Workload, wanted: Requests, site: Site) -> "People":
        """Find account, association and QOS of every task."""
        tree = ShareTree.of(site.accounts)
        number = {name: index for index, name in enumerate(tree.names)}
        rows_of_user: dict[str, list[Account]] = {}
        for one in site.accounts:
            if one.user:
                rows_of_user.setdefault(one.user, []).append(one)
        listed = {(one.name, one.user): one for one in site.accounts}
        qos = {one.name: index for index, one in enumerate(site.qos)}
        held = set(site.enforces)
        association_needed = bool(held & {"associations", "limits", "qos", "safe"}) and bool(site.accounts)
        of_task, rows, _ = task_kinds(workload.group.codes, workload.user.codes, wanted.qos.codes)
        accounts, associations, numbers, refusals = [], [], [], []
        for row in rows.tolist():
            account = workload.group.names[workload.group.codes[row]]
            user = workload.user.names[workload.user.codes[row]]
            named = wanted.qos.names[wanted.qos.codes[row]]
            if (account, user) not in number and not account and rows_of_user.get(user):
                account = rows_of_user[user][0].name
            association = number.get((account, user), -1) if user else -1
            refusal = NO_REASON
            if association < 0 and association_needed:
                refusal = CODES["InvalidAccount"]
            name = named or _default_qos(listed, account, user)
            if not name and "normal" in qos:
                name = "normal"
            unknown = bool(name) and name not in qos and (bool(site.qos) or "qos" in held)
            if unknown or (named and "qos" in held and not _may_name(listed, account, user, named)):
                refusal = refusal or CODES["InvalidQOS"]
            accounts.append(account)
            associations.append(association)
            numbers.append(qos.get(name, -1))
            refusals.append(refusal)
        texts = np.array(accounts, object)[of_task] if len(rows) else np.zeros(0, object)

        def spread(values: list[int]) -> IntArray:
            return np.array(values, np.int64)[of_task] if len(rows) else np.zeros(0, np.int64)

        return cls(
            account=Labels.from_texts(texts),
            association=spread(associations),
            qos=spread(numbers),
            refusal=spread(refusals),
            tree=tree,
        )


def ancestry(listed: dict[tuple[str, str], Account], account: str, user: str) -> list[Account]:
    """Return what an account lists of a user, of itself, and the accounts above it, nearest first."""
    chain = [listed[account, user]] if user and (account, user) in listed else []
    name = account
    while name and (name, "") in listed:
        chain.append(listed[name, ""])
        name = listed[name, ""].parent
    return chain


def _default_qos(listed: dict[tuple[str, str], Account], account: str, user: str) -> str:
    return next((one.default_qos for one in ancestry(listed, account, user) if one.default_qos), "")


def _may_name(listed: dict[tuple[str, str], Account], account: str, user: str, qos: str) -> bool:
    names = next((one.qos for one in ancestry(listed, account, user) if one.qos), ())
    return not names or qos in names
