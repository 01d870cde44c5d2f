"""Read by Flower, which shows what Celery's workers do, and can stop them: on this machine alone, behind a password."""

import os
import sys

address = os.environ.get("FLOWER_ADDRESS") or "127.0.0.1"

if not (os.environ.get("FLOWER_BASIC_AUTH") or os.environ.get("FLOWER_AUTH")):
    sys.exit("Flower needs a name and a password: set FLOWER_BASIC_AUTH=name:password.")
