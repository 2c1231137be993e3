"""What came of a run: verdicts, the record, and all that is filled from it."""
