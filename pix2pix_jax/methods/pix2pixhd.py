"""pix2pixHD: high resolution, coarse to fine, without an L1 loss (Wang et al. 2018).

G makes a photograph of a label map, D judges both together at several sizes. A batch is {"input":
[N, H, W, I], "target": [N, H, W, O]}, float32 in [-1, 1]; the input is a label map as data.labels
says. A local enhancer starts from a trained global generator (config.init_from), which stays as it
is in the first epochs (optim.epochs_frozen).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from pix2pix_jax.images import classes
from pix2pix_jax.methods import losses, pix2pix, two_phases
from pix2pix_jax.methods.contract import (
    DISCRIMINATOR,
    GENERATOR,
    Direction,
    Distance,
    Generate,
    Layout,
    Method,
    Network,
    Step,
)
from pix2pix_jax.methods.diff_augment import augmentation
from pix2pix_jax.methods.image_pool import ImagePool
from pix2pix_jax.methods.lazy_penalty import add_r1
from pix2pix_jax.methods.optim import discriminator_rate
from pix2pix_jax.methods.state import apply, apply_together, learning_rate_at
from pix2pix_jax.metrics import weights_files
from pix2pix_jax.models import build
from pix2pix_jax.pytorch.frozen import Layer, to_frozen
from pix2pix_jax.runtime import random_streams

VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)  # of VGG-19's five feature maps


def networks(config: Any, groups: int = 1) -> dict[str, Network]:
    """G, and D, which sees the label map beside an image."""
    data, size = config.data, tuple(config.data.crop_size)
    channels = classes.num_channels(data)
    generator = build.generator(config.model, data.output_channels, groups)
    judge = build.discriminator(config.model, groups)
    return {
        "G": Network(GENERATOR, generator, (1, *size, channels)),
        "D": Network(DISCRIMINATOR, judge, (1, *size, channels + data.output_channels)),
    }


def pools(config: Any) -> dict[str, Any]:
    """{"pools": an empty pool for what D is shown, label maps with it}; nothing without one."""
    data, size = config.data, config.loss.pool_size
    channels = classes.num_channels(data) + data.output_channels
    shape = (*data.crop_size, channels)
    return {"pools": {"D": ImagePool.create(size, *shape)}} if size else {}


def directions(config: Any) -> list[Direction]:
    """From label maps, as files have them, to photographs."""
    data = config.data
    show = functools.partial(classes.show, data)
    (direction,) = pix2pix.directions(config)
    return [direction._replace(show_input=show)]


def loss_names(config: Any) -> tuple[str, ...]:
    """Those of the PyTorch code, under pix2pix's names; the first three are what G minimises."""
    loss = config.loss
    given = {"g_feat": loss.lambda_feat, "g_vgg": loss.lambda_vgg and loss.vgg_weights}
    penalty = ("d_r1",) if loss.lambda_r1 else ()
    names = (name for name, is_given in given.items() if is_given)
    return ("g_gan", *names, "d_fake", "d_real", *penalty)


def vgg_distance(config: Any) -> Callable[[jax.Array, jax.Array], jax.Array] | None:
    """The perceptual loss of images and their targets, from the published weights of VGG-19.

    Images go in as they are, in [-1, 1], as in the PyTorch code. None if it has no weight, or no
    file is given; then a line says so.

    Raises:
        OSError, ValueError: the file is not there, damaged or of another network.
    """
    loss, module = config.loss, build.vgg(config.model)
    if not loss.lambda_vgg:
        return None
    if not loss.vgg_weights:
        print(
            f"trained without pix2pixHD's VGG loss: for it get {weights_files.VGG19.name} from "
            f"{weights_files.VGG19.source}, and set config.loss.vgg_weights to it",
            flush=True,
        )
        return None
    flags = "--config.loss.vgg_weights=FOLDER"
    state = weights_files.read(loss.vgg_weights, weights_files.VGG19, flags)
    variables = jax.device_put(to_frozen(state, module, (1, 32, 32, 3), Layer))

    def distance(output, target):
        # They are constants of the program, which else would be computed with while it is compiled.
        frozen = jax.lax.optimization_barrier(variables)
        found = module.apply(frozen, output)
        wanted = jax.lax.stop_gradient(module.apply(frozen, target))
        pairs = zip(VGG_WEIGHTS, found, wanted, strict=True)
        as_float = lambda x: x.astype(jnp.float32)
        return sum(weight * losses.l1(as_float(x), as_float(y)) for weight, x, y in pairs)

    return distance


def make_train_step(config: Any, num_examples: int, layout: Layout) -> Step:
    """The pure function that trains G and D on one batch, both by the networks before the step.

    Args:
        config: the whole config.
        num_examples: examples in an epoch, which the learning rate goes by.
        layout: how a batch lies over devices.

    Returns:
        (state, batch) -> (state, losses): g_gan, g_feat and g_vgg with their weights, d_fake,
        d_real and, with lambda_r1, d_r1 without.
    """
    loss, optim = config.loss, config.optim
    modules = {name: net.module for name, net in networks(config, layout.groups).items()}
    perceptual = vgg_distance(config)

    def discriminator_loss(params, batch_stats, judge, fake, real):
        """Half the sum of both sides, and beside it its terms, the statistics and D on `real`."""
        variables = {"params": params, "batch_stats": batch_stats}
        (of_fake, of_real), batch_stats = judge(variables, [fake, real])
        terms = {
            "d_fake": losses.gan_loss(of_fake, False, loss.gan_mode),
            "d_real": losses.gan_loss(of_real, True, loss.gan_mode),
        }
        return loss.d_loss_factor * sum(terms.values()), (terms, batch_stats, of_real)

    def train_step(state, batch):
        rate = learning_rate_at(config, state, num_examples)
        key = lambda name: random_streams.at_step(config.seed, name, state.step)
        g, d, extra = state.networks["G"], state.networks["D"], {}
        source, target = classes.encode(config.data, batch["input"]), batch["target"]
        pair = lambda image: jnp.concatenate([source, image], axis=-1)

        def judge(turn):
            augment = augmentation(config, state.step, turn)
            return lambda variables, pairs: apply_together(
                modules["D"], variables, augment(pairs, source.shape[-1])
            )

        def generate(params):
            variables = {"params": params, "batch_stats": g.batch_stats}
            rngs = {"dropout": key(random_streams.DROPOUT)}
            return apply(modules["G"], variables, source, rngs=rngs)

        output, pull_back, g_stats = jax.vjp(generate, g.params, has_aux=True)
        fake = pair(jax.lax.stop_gradient(output))
        if loss.pool_size:
            pool, fake = state.extra["pools"]["D"].query_over(
                layout, key(random_streams.POOL), fake
            )
            extra = {"pools": {"D": pool}}
        d_gradients, (d_terms, d_stats, of_real) = jax.grad(discriminator_loss, has_aux=True)(
            d.params, d.batch_stats, judge("D"), fake, pair(target)
        )
        judge_target = lambda variables, images: judge("D")(variables, [pair(x) for x in images])
        d_gradients, penalties = add_r1(d_gradients, d, loss, judge_target, target)
        d_terms |= {f"d_{name}": value for name, value in penalties.items()}

        def objective(image):
            """What G minimises (equation 5), by D before its update."""
            variables = {"params": d.params, "batch_stats": d_stats}
            (of_fake,), stats = judge("G")(variables, [pair(image)])
            terms = {"g_gan": loss.lambda_gan * losses.gan_loss(of_fake, True, loss.gan_mode)}
            if loss.lambda_feat:
                moved_alike = of_real
                if loss.diff_augment:
                    (moved_alike,), _ = judge("G")(variables, [pair(target)])
                terms["g_feat"] = loss.lambda_feat * losses.feature_matching(of_fake, moved_alike)
            if perceptual:
                terms["g_vgg"] = loss.lambda_vgg * perceptual(image, target)
            return sum(terms.values()), (terms, stats)

        output_gradient, (g_terms, d_stats) = jax.grad(objective, has_aux=True)(output)
        (g_gradients,) = pull_back(output_gradient)
        g, g_gradients = two_phases.frozen_at_first(config, state, num_examples, g, g_gradients)
        new = {
            "G": g.update(optim, rate, g_gradients).replace(batch_stats=g_stats),
            "D": d.update(optim, discriminator_rate(optim, rate), d_gradients).replace(
                batch_stats=d_stats
            ),
        }
        return state.replace(step=state.step + 1, networks=new, extra=extra), g_terms | d_terms

    return train_step


def make_generate(config: Any, direction: Direction) -> Generate:
    """As pix2pix's, of label maps as files have them."""
    paint = pix2pix.make_generate(config, direction)
    return lambda variables, images, keys: paint(
        variables, classes.encode(config.data, images), keys
    )


def check(config: Any) -> None:
    """Raises ValueError for images, or losses, that pix2pixHD does not have."""
    data, loss, model, optim = config.data, config.loss, config.model, config.optim
    pix2pix.check_channels(config)
    if data.labels != "rgb" and data.value_range:
        raise ValueError(
            f"config.data.labels is {data.labels} and config.data.value_range set: files of label "
            "maps have 8 bits, so leave the range empty"
        )
    if data.labels in classes.PALETTES and data.input_channels != 3:
        raise ValueError(
            f"config.data.labels is {data.labels}, which are colours: set "
            "config.data.input_channels=3"
        )
    if loss.gan_mode == "wgangp" or not loss.lambda_gan or not loss.conditional:
        raise ValueError(
            "pix2pixHD has a discriminator of both images, with squares or cross entropy: set "
            "config.loss.gan_mode=lsgan, lambda_gan=1.0 and conditional=True"
        )
    if loss.lambda_vgg and loss.vgg_weights and data.output_channels != 3:
        raise ValueError(
            f"config.data.output_channels is {data.output_channels}, and VGG-19 sees images in "
            "colour: set config.loss.lambda_vgg=0"
        )
    if optim.epochs_frozen and not model.generator.startswith("enhancer"):
        raise ValueError(
            f"config.optim.epochs_frozen is {optim.epochs_frozen}, and {model.generator} has no "
            "part that could stay as it is: set it to 0, or config.model.generator to "
            "enhancer_9blocks"
        )


METHOD = Method(
    data="pairs",
    networks=networks,
    loss_names=loss_names,
    make_train_step=make_train_step,
    directions=directions,
    make_generate=make_generate,
    # Its losses are no distance of single images.
    distance=lambda config: Distance("l1", {}),
    check=check,
    update_orders=("simultaneous",),
    extra_state=pools,
    state_fields=lambda config: (
        ("loss.pool_size", "data.crop_size") if config.loss.pool_size else ("loss.pool_size",)
    ),
    prepare=lambda config, images: classes.encode(config.data, images),
    first_phase=two_phases.first_phase,
    grow=two_phases.grow,
)
