"""Bias-free networks on CIFAR-10 images."""

from ssbrepro.models.residual import ResidualUnit, residual_net
from ssbrepro.models.vgg import vgg12

__all__ = ["ResidualUnit", "residual_net", "vgg12"]
