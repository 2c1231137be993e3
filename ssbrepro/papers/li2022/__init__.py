"""li2022: adaptive symmetries in the loss of deep networks (arXiv:2201.07934)."""
