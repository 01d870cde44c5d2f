"""What the form of a new run sends."""

from typing import Any

from django.http import QueryDict


def form_data(sent: QueryDict) -> dict[str, Any]:
    """Return what the form sent as the API's request: empty fields left out, policies in one list."""
    fields = ("workload", "cluster", "name", "seed", "limit", "on_oversize", "estimates", "split_model")
    data: dict[str, Any] = {key: sent[key].strip() for key in fields if sent.get(key, "").strip()}
    others = [name.strip() for name in sent.get("others", "").split(",") if name.strip()]
    data["policies"] = [*sent.getlist("policies"), *others]
    return data
