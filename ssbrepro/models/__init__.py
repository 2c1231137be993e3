"""Bias-free networks on CIFAR-10 images, and what reads and traces any such network."""

from ssbrepro.models.residual import ResidualUnit, residual_net
from ssbrepro.models.vgg import vgg12

__all__ = ["ResidualUnit", "residual_net", "vgg12"]
