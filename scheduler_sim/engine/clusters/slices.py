"""Slices of GPUs: NVIDIA's multi-instance GPU, whose instances are devices of their own.

The profiles and where each may lie are those of NVIDIA's MIG User Guide (supported profiles; `nvidia-smi mig -lgipp`).
A profile's name, as `3g.20gb`, says its compute slices and its memory.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scheduler_sim.engine.errors import InvalidCluster

_PROFILE = re.compile(r"(?:.*[:_])?(?P<profile>[1-9]g\.[0-9]+gb(?:\+me)?)")

_SEVENTHS: Mapping[tuple[int, int], tuple[int, ...]] = {
    (1, 1): (0, 1, 2, 3, 4, 5, 6),
    (1, 2): (0, 2, 4, 6),
    (2, 2): (0, 2, 4),
    (3, 4): (0, 4),
    (4, 4): (0,),
    (7, 8): (0,),
}
"""Of a GPU of 7 compute and 8 memory slices: by how many of each a profile has, the memory slices it may begin at."""

_QUARTERS: Mapping[tuple[int, int], tuple[int, ...]] = {(1, 1): (0, 1, 2, 3), (2, 2): (0, 2), (4, 4): (0,)}


@dataclass(frozen=True)
class _Family:
    """GPUs with the same profiles.

    Attributes:
        models: what they are called.
        compute: slices of one GPU.
        places: as `_SEVENTHS`.
        memory: what the names of profiles say, by how many memory slices they have.
    """

    models: str
    compute: int
    places: Mapping[tuple[int, int], tuple[int, ...]]
    memory: Mapping[int, int]

    @property
    def profiles(self) -> dict[str, tuple[int, int]]:
        """Compute and memory slices by the name of each profile."""
        return {f"{compute}g.{self.memory[memory]}gb": (compute, memory) for compute, memory in self.places}


_FAMILIES = (
    _Family("A30", 4, _QUARTERS, {1: 6, 2: 12, 4: 24}),
    _Family("A100 of 40 GB", 7, _SEVENTHS, {1: 5, 2: 10, 4: 20, 8: 40}),
    _Family("A100 and H100 of 80 GB", 7, _SEVENTHS, {1: 10, 2: 20, 4: 40, 8: 80}),
    _Family("H100 of 94 GB", 7, _SEVENTHS, {1: 12, 2: 24, 4: 47, 8: 94}),
    _Family("H100 of 96 GB", 7, _SEVENTHS, {1: 12, 2: 24, 4: 48, 8: 96}),
    _Family("H200", 7, _SEVENTHS, {1: 18, 2: 35, 4: 71, 8: 141}),
)


@dataclass(frozen=True)
class Slice:
    """One profile of a partitioned GPU.

    Attributes:
        profile: its name. count: how many a GPU has of it.
        share: the part of one GPU's compute slices that one such slice is.
        given: its part of what the slices of this GPU have together.
    """

    profile: str
    count: int
    share: float
    given: float


def profile_of(kind: str) -> str:
    """Return the profile of a kind of GPU such as `1g.5gb` or `A100_1g.5gb`, empty for whole GPUs."""
    found = _PROFILE.fullmatch(kind)
    return found["profile"] if found else ""


def slices(who: str, wanted: Any) -> tuple[Slice, ...]:
    """Return the slices of one GPU.

    Args:
        who: the beginning of a sentence that refuses them.
        wanted: how many of each profile.

    Raises:
        InvalidCluster: no mapping of profiles to counts, profiles that no GPU has together, or more than fit on one.
    """
    if not isinstance(wanted, Mapping) or not wanted:
        raise InvalidCluster(f"{who}: mig is no mapping of profiles to how many of them each GPU has.")
    for profile, count in wanted.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 7:
            raise InvalidCluster(f"{who}: mig has {count!r} of {profile}, not a whole number from 1 to 7.")
    plain = {str(profile): str(profile).removesuffix("+me") for profile in wanted}
    families = [one for one in _FAMILIES if set(plain.values()) <= set(one.profiles)]
    if not families:
        known = "; ".join(f"{one.models}: {', '.join(one.profiles)}" for one in _FAMILIES)
        raise InvalidCluster(f"{who}: no GPU has the mig profiles {', '.join(plain)} together ({known}).")
    family = next((one for one in families if _fits(one, wanted, plain)), None)
    if family is None:
        asked = ", ".join(f"{count} of {profile}" for profile, count in wanted.items())
        raise InvalidCluster(f"{who}: mig asks for {asked}, which do not fit on one GPU ({families[0].models}).")
    compute = {profile: family.profiles[plain[profile]][0] for profile in plain}
    used = sum(compute[profile] * count for profile, count in wanted.items())
    return tuple(
        Slice(str(profile), count, compute[profile] / family.compute, compute[profile] / used)
        for profile, count in wanted.items()
    )


def _fits(family: _Family, wanted: Mapping[str, int], plain: Mapping[str, str]) -> bool:
    """Tell whether the profiles can lie on one GPU side by side, one of them at most with media extensions."""
    if sum(count for profile, count in wanted.items() if plain[profile] != profile) > 1:
        return False
    each = sorted((family.profiles[plain[profile]] for profile, count in wanted.items() for _ in range(count)))[::-1]
    return sum(compute for compute, _ in each) <= family.compute and _lie(family, each, frozenset())


def _lie(family: _Family, left: list[tuple[int, int]], taken: frozenset[int]) -> bool:
    """Try every place of the first profile that is left, then the others."""
    if not left:
        return True
    (first, *rest) = left
    spans = (frozenset(range(start, start + first[1])) for start in family.places[first])
    return any(_lie(family, rest, taken | span) for span in spans if not span & taken)


def admits(asked: str, there: str) -> bool:
    """Tell whether a task may use GPUs of a kind.

    A task that names no kind asks for whole GPUs, and so does one that names a model; slices go to those who name their
    profile, alone or behind the model (`A100_1g.5gb`, `A100:1g.5gb`).

    Args:
        asked: kinds separated by `|`, empty for any whole GPU.
        there: the kind of a node's GPUs, several separated by `|`, or empty.
    """
    wanted, kinds = set(_kinds(asked)), set(_kinds(there)) or {""}
    if not wanted:
        return any(not profile_of(kind) for kind in kinds)
    return bool(wanted & (kinds | {profile for kind in kinds if (profile := profile_of(kind))}))


def rated_as(kind: str, known: Iterable[str]) -> str | None:
    """Return under which of the known names the rates of a kind of GPU stand: its own, or that of its profile."""
    names = {_plain(name): name for name in known}
    return names.get(_plain(kind), names.get(profile_of(kind) or _plain(kind)))


def _kinds(text: str) -> list[str]:
    return [_plain(kind) for kind in text.split("|") if kind.strip()]


def _plain(kind: str) -> str:
    """Write the model and the profile of a slice as Slurm does, with one line below between them."""
    kind = kind.strip()
    profile = profile_of(kind)
    model = kind.removesuffix(profile)[:-1] if profile else ""
    return f"{model}_{profile}" if model else kind
