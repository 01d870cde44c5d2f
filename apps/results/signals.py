"""What the results tell the apps that come after them."""

from django.dispatch import Signal

rows_changed = Signal()
"""Results or figures of one run were written or deleted; sent with `run_id`, inside the transaction that did it."""
