"""What the manifests say: read strictly, checked against the papers' stages, found by name."""
