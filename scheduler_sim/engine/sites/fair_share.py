"""Fair share: from shares and past usage of accounts and users to one factor a user.

Sources: https://slurm.schedmd.com/fair_tree.html and classic_fair_share.html (22.05 to 24.11).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from scheduler_sim.engine.sites.parts import Account
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class ShareTree:
    """Accounts and users as a tree, children behind their parents.

    Attributes:
        names: of account and user (empty for an account) of each of the n entries.
        parent: shape (n,), the entry above, -1 for the root.
        shares: shape (n,); NaN where an entry counts as its parent's sibling.
        is_user: shape (n,).
    """

    names: tuple[tuple[str, str], ...]
    parent: IntArray
    shares: FloatArray
    is_user: np.ndarray
    _children: list[list[int]] = field(default_factory=list)

    @classmethod
    def of(cls, accounts: Sequence[Account]) -> "ShareTree":
        """Build the tree; accounts without one above them are below the root, which is made where it is not listed."""
        listed = {one.name: one for one in accounts if not one.user}
        tree_parent = {name: one.parent or ("" if name == "root" else "root") for name, one in listed.items()}
        order: dict[str, None] = {}

        def add(name: str) -> None:
            if name in order:
                return
            if tree_parent.get(name):
                add(tree_parent[name])
            order[name] = None

        add("root")
        for name in listed:
            add(name)
        entries = [
            (name, "", tree_parent.get(name, ""), listed[name].shares if name in listed else 1) for name in order
        ]
        entries += [(one.name, one.user, one.name, one.shares) for one in accounts if one.user]
        number = {name: index for index, name in enumerate(order)}
        parent = np.array([number[above] if above else -1 for *_, above, _ in entries], np.int64)
        tree = cls(
            names=tuple((name, user) for name, user, *_ in entries),
            parent=parent,
            shares=np.array([math.nan if share == "parent" else float(share) for *_, share in entries]),
            is_user=np.array([bool(user) for _, user, *_ in entries]),
        )
        tree._children.extend([[] for _ in entries])
        for index, above in enumerate(parent.tolist()):
            if above >= 0:
                tree._children[above].append(index)
        return tree

    def total_usage(self, usage: FloatArray) -> FloatArray:
        """Return the usage of each entry with all that is below it, from what users used, shape (n,)."""
        total = np.where(self.is_user, usage, 0.0)
        # Accounts stand behind the accounts above them, users behind all.
        for index in range(len(self.parent) - 1, 0, -1):
            total[self.parent[index]] += total[index]
        return total

    def siblings(self, account: int) -> Iterator[int]:
        """Yield what counts as directly below an account: an account of parent's shares gives way to its own."""
        for child in self._children[account]:
            if math.isnan(self.shares[child]) and not self.is_user[child]:
                yield from self.siblings(child)
            else:
                yield child


def fair_tree(tree: ShareTree, usage: FloatArray) -> FloatArray:
    """Return the factor of every user from 0 to 1, NaN for accounts, shape (n,).

    Siblings are ordered by level fair share, depth first; the user at rank k of m gets (m - k + 1) / m, equal ones the
    same. The children of equal accounts are ranked as siblings, and the first of those below an account that equals a
    user has that user's rank.

    Args:
        usage: shape (n,), of users; that of accounts is the sum of theirs.
    """
    users = int(tree.is_user.sum())
    total = tree.total_usage(usage)
    factors = np.full(len(tree.parent), math.nan)
    ranked = 0
    factor = 1.0

    def rank(entries: list[tuple[float, int]], *, is_tied: bool) -> None:
        """Rank siblings; `is_tied` tells that the first of them has the rank of the user before it."""
        nonlocal ranked, factor
        # Users before accounts where they are equal.
        entries.sort(key=lambda entry: (-entry[0], not tree.is_user[entry[1]]))
        for _, equals in groupby(entries, key=lambda entry: entry[0]):
            accounts = []
            for _, entry in equals:
                if not tree.is_user[entry]:
                    accounts.append(entry)
                    continue
                factor = factor if is_tied else (users - ranked) / users
                factors[entry] = factor
                ranked += 1
                is_tied = True
            if accounts:
                rank([level for account in accounts for level in levels(account)], is_tied=is_tied)
            is_tied = False

    def levels(account: int) -> list[tuple[float, int]]:
        entries = list(tree.siblings(account))
        shares = np.nansum(tree.shares[entries])
        return [(_level(tree.shares[entry], shares, total[entry], total[account]), entry) for entry in entries]

    rank(levels(0), is_tied=False)
    return factors


def _level(share: float, shares: float, usage: float, usage_above: float) -> float:
    if math.isnan(share) or usage == 0:
        return math.inf
    return share / shares / (usage / usage_above) if shares else 0.0


def classic(tree: ShareTree, usage: FloatArray, *, damping: float = 1.0) -> FloatArray:
    """Return the factor 2**(-effective usage / normalised share / damping) of every user, NaN for accounts, shape (n,).

    The effective usage of an entry is its own part of all usage, raised towards that of the account above it as far as
    its share of that account is.
    """
    total = tree.total_usage(usage)
    whole = total[0] or 1.0
    normal = np.ones(len(tree.parent))
    effective = np.zeros(len(tree.parent))
    effective[0] = total[0] / whole

    def descend(account: int) -> None:
        entries = list(tree.siblings(account))
        shares = np.nansum(tree.shares[entries])
        for entry in entries:
            own = total[entry] / whole
            if math.isnan(tree.shares[entry]):
                normal[entry], effective[entry] = normal[account], effective[account]
            else:
                part = tree.shares[entry] / shares if shares else 0.0
                normal[entry] = normal[account] * part
                effective[entry] = own if account == 0 else own + (effective[account] - own) * part
            if not tree.is_user[entry]:
                descend(entry)

    descend(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.where(normal > 0, np.exp2(-(effective / normal) / damping), 0.0)
    return np.where(tree.is_user, factors, math.nan)
