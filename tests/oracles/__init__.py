"""Independent sources of truth that the tests compare with."""
