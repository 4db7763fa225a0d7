"""/metrics: figures for Prometheus, from the database, and one histogram of this machine's own."""
