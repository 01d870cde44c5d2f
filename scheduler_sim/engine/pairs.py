"""Lists of names with values, as people write them."""

from collections.abc import Callable


def read_pairs(
    text: str, *, malformed: Callable[[str], Exception], repeated: Callable[[str], Exception]
) -> dict[str, str]:
    """Return the values by name of a text such as `name=value,name=value`.

    Args:
        malformed: returns what is raised for a part that is no such pair.
        repeated: returns what is raised for a name that comes twice.
    """
    values: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (side.strip() for side in part.partition("="))
        if not (name and equals and value):
            raise malformed(part)
        if name in values:
            raise repeated(name)
        values[name] = value
    return values
