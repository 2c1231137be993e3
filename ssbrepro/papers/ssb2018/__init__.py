"""ssb2018: a scalar field theory of learning (arXiv:1710.06096)."""
