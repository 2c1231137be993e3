"""What is measured of a network: exact Hessian products, spectra, circuits, entries, identities."""
