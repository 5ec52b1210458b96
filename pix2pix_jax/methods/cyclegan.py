"""CycleGAN: unpaired translation by cycle consistency (Zhu et al. 2017).

G_A translates A to B and D_A judges images of B; G_B and D_B the other way (the names of the
PyTorch code; the paper's G, D_Y, F and D_X). A batch is {"A", "B"}, float32 [N, H, W, C] in
[-1, 1].
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from pix2pix_jax.methods import losses, pix2pix
from pix2pix_jax.methods.contract import (
    DISCRIMINATOR,
    GENERATOR,
    Batch,
    Direction,
    Distance,
    Layout,
    Losses,
    Method,
    Network,
    Step,
)
from pix2pix_jax.methods.diff_augment import augmentation
from pix2pix_jax.methods.image_pool import ImagePool
from pix2pix_jax.methods.lazy_penalty import add_r1
from pix2pix_jax.methods.optim import discriminator_rate
from pix2pix_jax.methods.state import apply_together, learning_rate_at
from pix2pix_jax.models import build
from pix2pix_jax.models.patchgan import Scale
from pix2pix_jax.runtime import random_streams


class Side(NamedTuple):
    """One of the two translations: its networks, and the names of what it is made of."""

    generator: str
    discriminator: str  # judges images of `target`
    source: str  # domain that the generator translates from
    target: str  # domain that it translates to
    suffix: str  # of its losses' names


A_TO_B = Side("G_A", "D_A", source="A", target="B", suffix="a")
B_TO_A = Side("G_B", "D_B", source="B", target="A", suffix="b")
SIDES = (A_TO_B, B_TO_A)
# Both generators, then both discriminators on what these made before their update: without pools
# that is TF's simultaneous update too. Alternating: G_A, D_A, G_B, D_B, as the Lua original.
UPDATE_ORDERS = ("torch", "simultaneous", "alternating")


def channels_of(config: Any) -> dict[str, int]:
    """Channels of the images of each domain."""
    return {"A": config.data.input_channels, "B": config.data.output_channels}


def networks(config: Any, groups: int = 1) -> dict[str, Network]:
    """Both generators and both discriminators."""
    channels, size = channels_of(config), tuple(config.data.crop_size)
    found = {}
    for side in SIDES:
        generator = build.generator(config.model, channels[side.target], groups)
        found[side.generator] = Network(GENERATOR, generator, (1, *size, channels[side.source]))
    for side in SIDES:
        judge = build.discriminator(config.model, groups)
        found[side.discriminator] = Network(DISCRIMINATOR, judge, (1, *size, channels[side.target]))
    return found


def pools(config: Any) -> dict[str, Any]:
    """{"pools": an empty pool for the translations to each domain}; nothing without pools."""
    size = config.loss.pool_size
    if not size:
        return {}
    crop, channels = tuple(config.data.crop_size), channels_of(config)
    return {"pools": {name: ImagePool.create(size, *crop, c) for name, c in channels.items()}}


def state_fields(config: Any) -> tuple[str, ...]:
    """What the pools depend on."""
    return ("loss.pool_size", "data.crop_size") if config.loss.pool_size else ("loss.pool_size",)


def directions(config: Any) -> list[Direction]:
    """A2B and B2A, or the one that eval.direction names."""
    channels = channels_of(config)
    a2b = Direction("A2B", "A", "B", "G_A", channels["A"], channels["B"])
    b2a = Direction("B2A", "B", "A", "G_B", channels["B"], channels["A"])
    both = [a2b._replace(inverse=b2a), b2a._replace(inverse=a2b)]
    return [d for d in both if config.eval.direction in (d.name, "both")]


def loss_names(config: Any) -> tuple[str, ...]:
    """As the PyTorch code names them, side by side."""
    loss = config.loss
    kinds = ("idt", "g", "cycle", "d") if loss.lambda_identity else ("g", "cycle", "d")
    kinds += ("r1",) if loss.lambda_r1 else ()
    return tuple(f"{kind}_{side.suffix}" for kind in kinds for side in SIDES)


def cycle_losses(
    loss: Any,
    translate: Callable[..., list[jax.Array]],
    judge: Callable[[str, jax.Array], list[Scale]],
    batch: Batch,
) -> tuple[Losses, dict[str, jax.Array]]:
    """The objective of both generators (equation 3 and section 5.2), term by term.

    Three calls make the six translations. Each generator meets its images in the order of the
    PyTorch code (real, reconstructed, identity), which running batch statistics depend on.

    Args:
        loss: the `loss` section of a config.
        translate: (name of a generator, batches of images...) -> their translations.
        judge: (name of a discriminator, images) -> scales.
        batch: {"A", "B"}.

    Returns:
        the terms with their weights, and the translations by the domain that they imitate.
    """
    a, b = batch["A"], batch["B"]
    scale, terms = loss.lambda_identity, {}
    (fake_b,) = translate("G_A", a)
    reconstructed_a, fake_a, *same_a = translate("G_B", fake_b, b, *([a] if scale else []))
    reconstructed_b, *same_b = translate("G_A", fake_a, *([b] if scale else []))
    if scale:
        terms["idt_a"] = scale * loss.lambda_b * losses.l1(same_b[0], b)
        terms["idt_b"] = scale * loss.lambda_a * losses.l1(same_a[0], a)
    terms["g_a"] = loss.lambda_gan * losses.gan_loss(judge("D_A", fake_b), True, loss.gan_mode)
    terms["g_b"] = loss.lambda_gan * losses.gan_loss(judge("D_B", fake_a), True, loss.gan_mode)
    terms["cycle_a"] = loss.lambda_a * losses.l1(reconstructed_a, a)
    terms["cycle_b"] = loss.lambda_b * losses.l1(reconstructed_b, b)
    return terms, {"A": fake_a, "B": fake_b}


def discriminator_loss(
    params: Any,
    batch_stats: Any,
    loss: Any,
    judge: pix2pix.Judge,
    key: jax.Array,
    real: jax.Array,
    fake: jax.Array,
) -> tuple[jax.Array, Any]:
    """What a discriminator minimises: real before fake, each with statistics of its own.

    Returns:
        the loss and the batch statistics afterwards.
    """
    variables = {"params": params, "batch_stats": batch_stats}
    (real_scales, fake_scales), batch_stats = judge(variables, [real, fake])
    total = loss.d_loss_factor * (
        losses.gan_loss(real_scales, True, loss.gan_mode)
        + losses.gan_loss(fake_scales, False, loss.gan_mode)
    )
    if loss.gan_mode == "wgangp":
        critic = lambda image: judge(variables, [image])[0][0]
        total += loss.lambda_gp * losses.gradient_penalty(critic, key, real, fake)
    return total, batch_stats


def make_train_step(config: Any, num_examples: int, layout: Layout) -> Step:
    """The pure function that trains generators and discriminators on one batch.

    Args:
        config: the whole config.
        num_examples: examples in an epoch, which the learning rate goes by.
        layout: how a batch lies over devices.

    Returns:
        (state, batch) -> (state, losses): those of `loss_names`, with their weights.
    """
    loss, optim = config.loss, config.optim
    modules = {name: net.module for name, net in networks(config, layout.groups).items()}

    def generators_loss(trained, params, stats, batch, key, augment):
        """Differentiated in the parameters `trained`, which go before those in `params`."""
        params, stats = {**params, **trained}, dict(stats)
        keys = iter(jax.random.split(key, 3))  # of the dropout of up to three calls

        def run(name, *batches, **settings):
            variables = {"params": params[name], "batch_stats": stats[name]}
            outputs, stats[name] = apply_together(modules[name], variables, batches, **settings)
            return outputs

        def translate(name, *batches):
            return run(name, *batches, rngs={"dropout": next(keys)})

        def judge(name, image):
            return run(name, *augment(f"G {name}")([image], 0))[0]

        terms, fakes = cycle_losses(loss, translate, judge, batch)
        return sum(terms.values()), (terms, stats, fakes)

    def update_generators(nets, sides, batch, rate, key, augment):
        """Networks with the generators of `sides` updated, their losses, and all translations."""
        params = {name: net.params for name, net in nets.items()}
        stats = {name: net.batch_stats for name, net in nets.items()}
        trained = {side.generator: params[side.generator] for side in sides}
        gradients, (terms, stats, fakes) = jax.grad(generators_loss, has_aux=True)(
            trained, params, stats, batch, key, augment
        )
        nets = dict(nets)
        for side in sides:
            g, d = side.generator, side.discriminator
            nets[g] = nets[g].update(optim, rate, gradients[g]).replace(batch_stats=stats[g])
            nets[d] = nets[d].replace(batch_stats=stats[d])
        suffixes = tuple(f"_{side.suffix}" for side in sides)
        return nets, {k: v for k, v in terms.items() if k.endswith(suffixes)}, fakes

    def update_discriminator(net, judge, real, fake, rate, key):
        """A discriminator after its step, its loss, and {"r1": its penalty} if that has weight."""
        (total, batch_stats), gradients = jax.value_and_grad(discriminator_loss, has_aux=True)(
            net.params, net.batch_stats, loss, judge, key, real, fake
        )
        gradients, penalties = add_r1(gradients, net, loss, judge, real)
        net = net.update(optim, discriminator_rate(optim, rate), gradients)
        return net.replace(batch_stats=batch_stats), {"d": total, **penalties}

    def train_step(state, batch):
        rate = learning_rate_at(config, state, num_examples)
        key = lambda name: random_streams.at_step(config.seed, name, state.step)
        augment = functools.partial(augmentation, config, state.step)
        nets, filled, terms = state.networks, dict(state.extra.get("pools", {})), {}
        turns = [(side,) for side in SIDES] if loss.update_order == "alternating" else [SIDES]
        for sides in turns:
            dropout_key = key(random_streams.DROPOUT)
            nets, g_terms, fakes = update_generators(nets, sides, batch, rate, dropout_key, augment)
            terms |= g_terms
            for side in sides:
                name, fake = side.discriminator, fakes[side.target]
                if filled:
                    pool_key = random_streams.named(key(random_streams.POOL), name)
                    pool = filled[side.target]
                    filled[side.target], fake = pool.query_over(layout, pool_key, fake)
                penalty_key = random_streams.named(key(random_streams.PENALTY), name)
                judge = functools.partial(pix2pix.judge_images, modules[name], augment(name), None)
                nets[name], d_terms = update_discriminator(
                    nets[name], judge, batch[side.target], fake, rate, penalty_key
                )
                terms |= {f"{kind}_{side.suffix}": term for kind, term in d_terms.items()}
        extra = {"pools": filled} if filled else {}
        return state.replace(step=state.step + 1, networks=nets, extra=extra), terms

    return train_step


def check(config: Any) -> None:
    """Raises ValueError for an identity loss between images that cannot be compared."""
    pix2pix.check_channels(config)
    channels = channels_of(config)
    if config.loss.lambda_identity and channels["A"] != channels["B"]:
        raise ValueError(
            f"the identity loss compares images of both domains, which have {channels['A']} and "
            f"{channels['B']} channels: set config.loss.lambda_identity=0"
        )


def distance(config: Any) -> Distance:
    """Of reconstructions, in both directions."""
    loss = config.loss
    return Distance("cycle_l1", {"cycle_a": loss.lambda_a, "cycle_b": loss.lambda_b})


METHOD = Method(
    data="sets",
    networks=networks,
    loss_names=loss_names,
    make_train_step=make_train_step,
    directions=directions,
    make_generate=pix2pix.make_generate,
    distance=distance,
    check=check,
    update_orders=UPDATE_ORDERS,
    extra_state=pools,
    state_fields=state_fields,
    many_products=lambda config: config.model.generator.startswith("resnet"),
)
