"""CycleGAN as its authors train it: Zhu et al. (2017) and their PyTorch code.

ResNet with 9 blocks, 64 filters, discriminators of 64, weights 10 and 5, a pool of 50,
Adam 2e-4, constant for half of the training and then linear to 0, no averages.
`authors+filters=32` is the smaller one.
"""

from contenders import ours


def build(shape, seed, progress, filters=64, blocks=9, **options):
    recipe = {
        "network": "resnet",
        "filters": filters,
        "blocks": blocks,
        "judge_filters": filters,
        "rate": 2e-4,
        "constant": 0.5,
        "reconstruction": 10.0,
        "identity": 5.0,
        "decay": None,
    }
    return ours.build(shape, seed, progress, **{**recipe, **options})
