"""Bias-free sequential networks with one output neuron."""

from ssbrepro.models.vgg import vgg12

__all__ = ["vgg12"]
