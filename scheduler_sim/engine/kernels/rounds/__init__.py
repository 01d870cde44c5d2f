"""GPU clusters shared in rounds: who gets which share of which kind of GPU, and how rounds bring the shares about."""
