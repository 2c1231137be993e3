"""The stages of ssb2018, one module each, found by its name."""
