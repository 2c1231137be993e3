"""Two runs, profiles, machines, alternatives or sets of recorded runs: what they differ in."""
