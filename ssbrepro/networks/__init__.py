"""Bias-free networks on CIFAR-10 images."""

from ssbrepro.networks.residual import ResidualUnit, residual_net
from ssbrepro.networks.vgg import vgg12

__all__ = ["ResidualUnit", "residual_net", "vgg12"]
