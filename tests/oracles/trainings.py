"""A training run as small as it can be, for tests of the stages that build on one."""

from ssbrepro.papers.li2022.stages.training import Parameters as TrainingParameters

TINY = TrainingParameters(
    positive_classes=(0,),
    negative_classes=(1,),
    num_examples=6,
    input_scaling="standardised",
    width=1 / 32,
    num_convolutions=10,
    initialisation="he_normal",
    step_size=0.02,
    cut_epochs=(),
    cut_factor=1.0,
    momentum=0.9,
    batch_size=3,
    num_epochs=2,
    checkpoint_epochs=(0, 1, 2),
    differentiated="active",
)
