"""One node without a limit of memory, playing tasks that hold whole GPUs."""
