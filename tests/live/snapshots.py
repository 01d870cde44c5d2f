"""The snapshot of a run of which no runner has said anything, without a database."""

from datetime import UTC, datetime
from typing import Any, cast

from apps.live.wire import messages
from apps.live.wire.stored import before_the_start
from apps.results.models import Run


def make_snapshot(**changes: Any) -> messages.Snapshot:
    """Return that of run 1, with some of it changed."""
    run = Run(pk=1, name="r", status="running", created_at=datetime.fromtimestamp(1, UTC))
    return cast("messages.Snapshot", {**before_the_start(run), **changes})
