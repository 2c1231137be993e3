"""Bias-free networks on images, and what reads and traces any such network."""

from ssbrepro.networks.residual import ResidualUnit, residual_net
from ssbrepro.networks.vgg import vgg12

__all__ = ["ResidualUnit", "residual_net", "vgg12"]
