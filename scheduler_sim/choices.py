"""Choices of a model whose words are what is stored."""

from enum import property as enum_property

from django.db import models


class PlainChoices(models.TextChoices):
    """Texts that people read as they are stored."""

    @enum_property
    def label(self) -> str:
        """What people read."""
        return str(self.value)
