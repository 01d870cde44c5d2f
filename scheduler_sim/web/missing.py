"""What is said where something that is stored beside the database is gone."""


class Missing(Exception):
    """Something that is stored beside the database is not there; its text is a sentence for a person."""
