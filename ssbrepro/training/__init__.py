"""Gradient descent, recorded and resumable, and the losses and risks it descends."""
