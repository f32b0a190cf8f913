"""One file per group of routes; each has `add(app)`."""
