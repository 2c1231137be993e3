"""What a release has to meet besides its tests: ``make release-check``."""
