"""Recorded runs in MLflow. The record is the truth: what is sent can be sent again.

A paper is an experiment; a run of a figure is a parent run in it, with a child run for each step.
Everything is read from the record with its recorded times, and an MLflow run is found again by its
record's digest, so sending twice leaves the same rows.
"""

from repro.outcome.tracking.sender import PATIENCE, Sender, track
from repro.outcome.tracking.sending import pages, prepare, send

__all__ = ["PATIENCE", "Sender", "pages", "prepare", "send", "track"]
