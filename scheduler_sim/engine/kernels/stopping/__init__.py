"""The nodes of `kernels.cluster` where tasks may stop and go on: failures, limits, checkpoints and preemption."""
