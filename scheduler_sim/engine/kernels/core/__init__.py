"""The event core: tasks that stop and go on, limits, failures and checkpoints (docs/model.md)."""
