"""Where and when tasks ran: the Gantt chart and one task under every policy."""
