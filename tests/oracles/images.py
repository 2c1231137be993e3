"""Random images in the place of CIFAR-10."""

from pathlib import Path

import torch

from ssbrepro.data.cifar10 import LabelledImages


def random_images(root: Path, num_examples: int) -> LabelledImages:
    """Noise, of classes 0 to 9 in turn; stands for ``ssbrepro.data.cifar10.load_classes``."""
    inputs = torch.randn(num_examples, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return LabelledImages(inputs, torch.arange(num_examples) % 10)
