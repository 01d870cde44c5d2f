"""The ordered sets, queues and lists of releases that the kernels share."""
