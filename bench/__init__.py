"""How fast the science runs beside other tools: `make bench`."""
