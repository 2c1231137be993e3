"""The harness: from a manifest to a verdict. Knows YAML, processes, containers; no mathematics."""
