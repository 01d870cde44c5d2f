"""Nodes with cores, GPUs and memory playing any workload."""
