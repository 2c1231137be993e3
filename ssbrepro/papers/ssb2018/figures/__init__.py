"""One module a figure: recorded arrays in, a matplotlib figure out. Nothing is computed here."""
