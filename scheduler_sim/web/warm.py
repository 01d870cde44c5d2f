"""What the first requests of a server process would wait for, done before it answers any."""

import gc
from contextlib import suppress

# NumPy itself asks for it when it first compares sets.
import numpy.ma  # noqa: F401
from django.conf import settings
from django.template import TemplateSyntaxError
from django.template.loader import get_template
from django.urls import get_resolver


def warm() -> None:
    """Import the views, index their addresses and compile the project's templates, which takes some 0.4 s.

    What is there then stays, and is left out of what garbage is sought among: a whole search took 130 ms of a request.
    """
    get_resolver().reverse_dict  # noqa: B018
    folder = settings.BASE_DIR / "templates"
    for path in folder.rglob("*.html"):
        # Of a fault in one its own page tells.
        with suppress(TemplateSyntaxError):
            get_template(path.relative_to(folder).as_posix())
    gc.collect()
    gc.freeze()
