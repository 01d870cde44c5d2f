"""Playing the runs of a study, on the cores of this machine or on Celery workers."""
