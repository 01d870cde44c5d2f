"""Nodes, links, devices and their failures, and what tasks ask of them."""
