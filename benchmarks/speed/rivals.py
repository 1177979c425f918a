"""The same CycleGAN as others write it: as in tutorials, and in PyTorch.

Both have the networks, losses, optimizers and batch of `gan_style`, so that the
benchmark compares how the step is written and nothing else.
"""

import accelerator
import keras
import tensorflow as tf
from keras import layers


def normal():
    return keras.initializers.RandomNormal(0.0, 0.02)


class TutorialPad(layers.Layer):
    """`tf.pad` in a layer, as the Keras example has it."""

    def __init__(self, padding, **kwargs):
        super().__init__(**kwargs)
        self.padding = padding

    def call(self, x):
        p = self.padding
        return tf.pad(x, [[0, 0], [p, p], [p, p], [0, 0]], mode="REFLECT")


def norm():
    return layers.GroupNormalization(groups=-1, epsilon=1e-5, center=False, scale=False)


def tutorial_unet(shape, filters):
    x = inputs = keras.Input(shape)
    skips = []
    for level in range(4):
        x = layers.Conv2D(
            filters * 2**level,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=normal(),
        )(x)
        x = layers.ReLU()(norm()(x))
        skips.append(x)
    for level, skip in zip((2, 1, 0), skips[-2::-1], strict=True):
        x = layers.UpSampling2D(2)(x)
        x = layers.Conv2D(
            filters * 2**level,
            4,
            padding="same",
            use_bias=False,
            kernel_initializer=normal(),
        )(x)
        x = layers.Concatenate()([layers.ReLU()(norm()(x)), skip])
    x = layers.UpSampling2D(2)(x)
    x = layers.Conv2D(shape[-1], 4, padding="same", kernel_initializer=normal())(x)
    return keras.Model(inputs, layers.Activation("tanh", dtype="float32")(x))


def tutorial_resnet(shape, filters, blocks=9):
    def conv(x, filters, size, strides=1, padding="valid", bias=False):
        return layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding=padding,
            use_bias=bias,
            kernel_initializer=normal(),
        )(x)

    inputs = keras.Input(shape)
    x = conv(TutorialPad(3)(inputs), filters, 7)
    x = layers.ReLU()(norm()(x))
    for level in (1, 2):
        x = layers.ReLU()(norm()(conv(x, filters * 2**level, 3, 2, "same")))
    for _ in range(blocks):
        y = layers.ReLU()(norm()(conv(TutorialPad(1)(x), 4 * filters, 3)))
        y = norm()(conv(TutorialPad(1)(y), 4 * filters, 3))
        x = layers.Add()([x, y])
    for level in (1, 0):
        x = layers.Conv2DTranspose(
            filters * 2**level,
            3,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=normal(),
        )(x)
        x = layers.ReLU()(norm()(x))
    x = conv(TutorialPad(3)(x), shape[-1], 7, bias=True)
    return keras.Model(inputs, layers.Activation("tanh", dtype="float32")(x))


def tutorial_discriminator(shape, filters):
    x = inputs = keras.Input(shape)
    for level, strides in ((0, 2), (1, 2), (2, 2), (3, 1)):
        x = layers.Conv2D(
            filters * 2**level,
            4,
            strides=strides,
            padding="same",
            use_bias=level == 0,
            kernel_initializer=normal(),
        )(x)
        x = layers.LeakyReLU(0.2)(norm()(x) if level else x)
    x = layers.Conv2D(1, 4, padding="same", kernel_initializer=normal())(x)
    return keras.Model(inputs, layers.Activation("linear", dtype="float32")(x))


def tutorial_step(generator, shape, filters, discriminator_filters, **compile_options):
    """A step with one persistent tape and four optimizers; returns a function."""
    g_ab, g_ba = generator(shape, filters), generator(shape, filters)
    d_a, d_b = (tutorial_discriminator(shape, discriminator_filters) for _ in "ab")
    optimizers = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(4)]
    for optimizer, network in zip(optimizers, (g_ab, g_ba, d_a, d_b), strict=True):
        optimizer.build(network.trainable_variables)
    mse, mae = keras.losses.MeanSquaredError(), keras.losses.MeanAbsoluteError()

    def adversarial(answer):
        return mse(tf.ones_like(answer), answer)

    def judged(real, fake):
        return 0.5 * (adversarial(real) + mse(tf.zeros_like(fake), fake))

    @tf.function(**compile_options)
    def step(a, b):
        with tf.GradientTape(persistent=True) as tape:
            fake_b, fake_a = g_ab(a, training=True), g_ba(b, training=True)
            back_a, back_b = g_ba(fake_b, training=True), g_ab(fake_a, training=True)
            same_a, same_b = g_ba(a, training=True), g_ab(b, training=True)
            real_a, false_a = d_a(a, training=True), d_a(fake_a, training=True)
            real_b, false_b = d_b(b, training=True), d_b(fake_b, training=True)
            cycle = 10.0 * (mae(a, back_a) + mae(b, back_b))
            loss_ab = adversarial(false_b) + cycle + 2.0 * mae(b, same_b)
            loss_ba = adversarial(false_a) + cycle + 2.0 * mae(a, same_a)
            loss_a, loss_b = judged(real_a, false_a), judged(real_b, false_b)
        for optimizer, loss, network in zip(
            optimizers,
            (loss_ab, loss_ba, loss_a, loss_b),
            (g_ab, g_ba, d_a, d_b),
            strict=True,
        ):
            variables = network.trainable_variables
            optimizer.apply_gradients(
                zip(tape.gradient(loss, variables), variables, strict=True)
            )
        return loss_ab

    return step


def torch_step(
    kind, shape, filters, discriminator_filters, bfloat16=False, compiled=False
):
    """A step in PyTorch, channels last; returns a function, or None without torch."""
    torch = accelerator.pytorch()
    if torch is None:
        return None
    nn, device = torch.nn, accelerator.torch_device()

    torch.manual_seed(0)
    functional = nn.functional
    channels = shape[-1]

    class SameConv(nn.Module):
        """4x4 "same" convolution: TensorFlow pads one pixel more at the end."""

        def __init__(self, inner, outer, strides, bias):
            super().__init__()
            self.pads = (1, 1, 1, 1) if strides == 2 else (1, 2, 1, 2)
            self.conv = nn.Conv2d(inner, outer, 4, strides, bias=bias)

        def forward(self, x):
            return self.conv(functional.pad(x, self.pads))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            f = filters
            self.down = nn.ModuleList(
                SameConv(i, o, 2, False)
                for i, o in ((channels, f), (f, 2 * f), (2 * f, 4 * f), (4 * f, 8 * f))
            )
            self.up = nn.ModuleList(
                SameConv(i, o, 1, False)
                for i, o in ((8 * f, 4 * f), (8 * f, 2 * f), (4 * f, f))
            )
            self.last = SameConv(2 * f, channels, 1, True)

        def forward(self, x):
            skips = []
            for conv in self.down:
                x = functional.relu(functional.instance_norm(conv(x)))
                skips.append(x)
            for conv, skip in zip(self.up, skips[-2::-1], strict=True):
                x = conv(functional.interpolate(x, scale_factor=2))
                x = functional.relu(functional.instance_norm(x))
                x = torch.cat([x, skip], 1)
            return torch.tanh(self.last(functional.interpolate(x, scale_factor=2)))

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.layers = nn.Sequential(
                nn.ReflectionPad2d(1),
                nn.Conv2d(width, width, 3, bias=False),
                nn.InstanceNorm2d(width),
                nn.ReLU(True),
                nn.ReflectionPad2d(1),
                nn.Conv2d(width, width, 3, bias=False),
                nn.InstanceNorm2d(width),
            )

        def forward(self, x):
            return x + self.layers(x)

    def resnet(blocks=9):
        f = filters
        parts = [nn.ReflectionPad2d(3), nn.Conv2d(channels, f, 7, bias=False)]
        parts += [nn.InstanceNorm2d(f), nn.ReLU(True)]
        for i, o in ((f, 2 * f), (2 * f, 4 * f)):
            parts += [nn.Conv2d(i, o, 3, 2, 1, bias=False)]
            parts += [nn.InstanceNorm2d(o), nn.ReLU(True)]
        parts += [Block(4 * f) for _ in range(blocks)]
        for i, o in ((4 * f, 2 * f), (2 * f, f)):
            parts += [nn.ConvTranspose2d(i, o, 3, 2, 1, 1, bias=False)]
            parts += [nn.InstanceNorm2d(o), nn.ReLU(True)]
        parts += [nn.ReflectionPad2d(3), nn.Conv2d(f, channels, 7), nn.Tanh()]
        return nn.Sequential(*parts)

    def discriminator():
        f = discriminator_filters
        parts = [SameConv(channels, f, 2, True), nn.LeakyReLU(0.2, True)]
        for i, o, s in ((f, 2 * f, 2), (2 * f, 4 * f, 2), (4 * f, 8 * f, 1)):
            parts += [SameConv(i, o, s, False), nn.InstanceNorm2d(o)]
            parts += [nn.LeakyReLU(0.2, True)]
        return nn.Sequential(*parts, SameConv(8 * f, 1, 1, True))

    make = UNet if kind == "unet" else resnet
    last = {"device": device, "memory_format": torch.channels_last}
    g_ab, g_ba = make().to(**last), make().to(**last)
    d_a, d_b = (discriminator().to(**last) for _ in "ab")
    if compiled:
        # Both precisions are compiled in one process, each network anew.
        torch._dynamo.config.recompile_limit = 64
        g_ab, g_ba, d_a, d_b = map(torch.compile, (g_ab, g_ba, d_a, d_b))
    of_generators = [*g_ab.parameters(), *g_ba.parameters()]
    of_discriminators = [*d_a.parameters(), *d_b.parameters()]
    for_generators = torch.optim.Adam(of_generators, 2e-4, (0.5, 0.999))
    for_discriminators = torch.optim.Adam(of_discriminators, 2e-4, (0.5, 0.999))

    def valid(answer, target):
        return ((answer.float() - target) ** 2).mean()

    def losses(a, b):
        fake_b, fake_a = g_ab(a), g_ba(b)
        cycle = (g_ba(fake_b) - a).abs().mean() + (g_ab(fake_a) - b).abs().mean()
        same = (g_ba(a) - a).abs().mean() + (g_ab(b) - b).abs().mean()
        valids = valid(d_b(fake_b), 1) + valid(d_a(fake_a), 1)
        return valids + 10 * cycle + 2 * same, fake_a.detach(), fake_b.detach()

    def step(a, b):
        a, b = (torch.from_numpy(x).permute(0, 3, 1, 2).to(**last) for x in (a, b))
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            for p in of_discriminators:
                p.requires_grad_(False)
            loss, fake_a, fake_b = losses(a, b)
        for_generators.zero_grad()
        loss.backward()
        for_generators.step()
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            for p in of_discriminators:
                p.requires_grad_(True)
            judged = 0.5 * (
                valid(d_a(a), 1)
                + valid(d_a(fake_a), 0)
                + valid(d_b(b), 1)
                + valid(d_b(fake_b), 0)
            )
        for_discriminators.zero_grad()
        judged.backward()
        for_discriminators.step()
        return loss.detach()

    return step
