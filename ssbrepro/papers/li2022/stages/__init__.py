"""The stages of li2022, one module each, found by its name."""
