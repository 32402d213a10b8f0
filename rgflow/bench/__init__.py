"""Times and ratios on this machine: rgflow beside what a user would run instead, in one run, in turn."""
