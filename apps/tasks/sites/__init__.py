"""Sites: read from files, edited, stored, shown and told over HTTP."""
