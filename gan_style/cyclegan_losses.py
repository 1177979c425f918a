"""The three losses of a CycleGAN, each one number.

As Zhu et al. (2017) have them: least squares for what the discriminators answer, mean
absolute differences for reconstruction and identity. All are taken in float32.
"""

from keras import ops


def validity_loss(answer):
    """Mean (answer - 1)^2: how far a discriminator is from taking fakes for real.

    >>> float(validity_loss(ops.zeros((1, 16, 16, 1))))
    1.0
    """
    return ops.mean(ops.square(ops.cast(answer, "float32") - 1.0))


def reconstruction_loss(images, others):
    """Mean |images - others|; the identity loss is the same measure.

    >>> float(reconstruction_loss(ops.ones((1, 2, 2, 3)), 0.5))
    0.5
    """
    return ops.mean(ops.abs(ops.cast(others, "float32") - ops.cast(images, "float32")))


def discriminator_loss(real_answer, fake_answer):
    """Half of [mean (real - 1)^2 + mean fake^2], the paper's slowed-down objective.

    >>> float(discriminator_loss(ops.ones((1, 2, 2, 1)), ops.ones((1, 2))))
    0.5
    """
    fooled = ops.mean(ops.square(ops.cast(fake_answer, "float32")))
    return 0.5 * (validity_loss(real_answer) + fooled)
