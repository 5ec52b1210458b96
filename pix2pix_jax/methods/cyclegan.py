"""CycleGAN: unpaired translation by cycle consistency (Zhu et al. 2017).

G_A translates A to B and D_A judges images of B; G_B and D_B the other way (the names of the
PyTorch code; the paper's G, D_Y, F and D_X). A batch is {"A", "B"}, float32 [N, H, W, C] in
[-1, 1].
"""

from typing import Any

import jax
import jax.numpy as jnp

from pix2pix_jax.methods import losses
from pix2pix_jax.methods.contract import Translation, make_translate
from pix2pix_jax.methods.image_pool import ImagePool
from pix2pix_jax.methods.optim import Plateau, learning_rate
from pix2pix_jax.methods.pix2pix import Step
from pix2pix_jax.methods.state import TrainState, apply, create_network, epoch_of
from pix2pix_jax.models import build

DATA = "sets"
# Both generators, then both discriminators on what these made before their update: without pools
# that is TF's simultaneous update too. Alternating: G_A, D_A, G_B, D_B, as the Lua original.
UPDATE_ORDERS = ("torch", "simultaneous", "alternating")


def channels_of(config: Any) -> dict[str, int]:
    """Channels of the images of each domain."""
    return {"A": config.data.input_channels, "B": config.data.output_channels}


def translations(config: Any) -> list[Translation]:
    """A2B and B2A, or the one that eval.direction names."""
    channels = channels_of(config)
    a2b = Translation("A2B", "A", "B", "G_A", channels["A"], channels["B"])
    b2a = Translation("B2A", "B", "A", "G_B", channels["B"], channels["A"])
    both = [a2b._replace(inverse=b2a), b2a._replace(inverse=a2b)]
    return [t for t in both if config.eval.direction in (t.name, "both")]


def create_state(config: Any, key: jax.Array) -> TrainState:
    """Freshly initialised networks and empty pools."""
    data, channels = config.data, channels_of(config)
    keys = dict(zip(("G_A", "G_B", "D_A", "D_B"), jax.random.split(key, 4), strict=True))

    def create(module, name, domain):
        shape = (1, *data.crop_size, channels[domain])
        return create_network(module, config.optim, keys[name], *shape)

    networks = {}
    for letter, source, target in (("A", "A", "B"), ("B", "B", "A")):
        generator = build.generator(config.model, channels[target])
        discriminator = build.discriminator(config.model)
        networks[f"G_{letter}"] = create(generator, f"G_{letter}", source)
        networks[f"D_{letter}"] = create(discriminator, f"D_{letter}", target)
    pools = {}
    if config.loss.pool_size:
        size = config.loss.pool_size
        pools = {d: ImagePool.create(size, *data.crop_size, c) for d, c in channels.items()}
    return TrainState(jnp.zeros((), jnp.int32), networks, Plateau.create(), pools)


def make_train_step(config: Any, num_examples: int, groups: int = 1) -> Step:
    """The pure function that trains generators and discriminators on one batch.

    Args:
        config: the whole config.
        num_examples: examples in an epoch, which the learning rate goes by.
        groups: runs of images that batch norm normalises apart.

    Returns:
        (state, batch) -> (state, losses): g_a, cycle_a, idt_a, d_a and those of b, with their
        weights, named as in the PyTorch code.
    """
    loss, channels = config.loss, channels_of(config)
    generators = {
        "G_A": build.generator(config.model, channels["B"], groups),
        "G_B": build.generator(config.model, channels["A"], groups),
    }
    discriminator = build.discriminator(config.model, groups)
    seed = jax.random.key(config.seed)

    def generator_loss(own, params, stats, batch, key):
        """The objective of both generators (equation 3 and section 5.2), and what it made.

        It is differentiated in the parameters `own`, which go before those in `params`.
        """
        params = {**params, **own}
        stats, keys = dict(stats), iter(jax.random.split(key, 6))

        def translate(name, image):
            variables = {"params": params[name], "batch_stats": stats[name]}
            rngs = {"dropout": next(keys)}
            image, stats[name] = apply(generators[name], variables, image, rngs=rngs)
            return image

        def judge(name, image):
            variables = {"params": params[name], "batch_stats": stats[name]}
            logits, stats[name] = apply(discriminator, variables, image)
            return losses.gan_loss(logits, True, loss.gan_mode)

        a, b = batch["A"], batch["B"]
        fake_b = translate("G_A", a)
        rec_a = translate("G_B", fake_b)
        fake_a = translate("G_B", b)
        rec_b = translate("G_A", fake_a)
        terms = {}
        if loss.lambda_identity:
            scale = loss.lambda_identity
            terms["idt_a"] = scale * loss.lambda_b * losses.l1(translate("G_A", b), b)
            terms["idt_b"] = scale * loss.lambda_a * losses.l1(translate("G_B", a), a)
        terms["g_a"] = loss.lambda_gan * judge("D_A", fake_b)
        terms["g_b"] = loss.lambda_gan * judge("D_B", fake_a)
        terms["cycle_a"] = loss.lambda_a * losses.l1(rec_a, a)
        terms["cycle_b"] = loss.lambda_b * losses.l1(rec_b, b)
        return sum(terms.values()), (terms, stats, {"A": fake_a, "B": fake_b})

    def discriminator_loss(params, stats, key, real, fake):
        """Real before fake, each with statistics of its own, as the baseline does."""

        def judge(image, stats):
            return apply(discriminator, {"params": params, "batch_stats": stats}, image)

        real_logits, stats = judge(real, stats)
        fake_logits, stats = judge(fake, stats)
        total = loss.d_loss_factor * (
            losses.gan_loss(real_logits, True, loss.gan_mode)
            + losses.gan_loss(fake_logits, False, loss.gan_mode)
        )
        if loss.gan_mode == "wgangp":
            critic = lambda image: judge(image, stats)[0]
            total += loss.lambda_gp * losses.gradient_penalty(critic, key, real, fake)
        return total, stats

    def train_step(state, batch):
        keys = jax.random.split(jax.random.fold_in(seed, state.step), 5)
        epoch = epoch_of(state.step, config.train.batch_size, num_examples)
        rate = learning_rate(config.optim, epoch) * state.plateau.scale
        networks, pools, terms = dict(state.networks), dict(state.pools), {}

        for letters in ("A", "B") if loss.update_order == "alternating" else ("AB",):
            params = {name: network.params for name, network in networks.items()}
            stats = {name: network.batch_stats for name, network in networks.items()}
            own = {f"G_{letter}": params[f"G_{letter}"] for letter in letters}
            gradients, (g_terms, stats, fakes) = jax.grad(generator_loss, has_aux=True)(
                own, params, stats, batch, keys[0]
            )
            for name in own:
                updated = networks[name].update(config.optim, rate, gradients[name])
                networks[name] = updated.replace(batch_stats=stats[name])
            terms |= {k: v for k, v in g_terms.items() if k[-1].upper() in letters}

            for letter in letters:
                name, domain, i = f"D_{letter}", "BA"["AB".index(letter)], "AB".index(letter)
                fake = fakes[domain]
                if pools:
                    pools[domain], fake = pools[domain].query(keys[1 + i], fake)
                (terms[f"d_{letter.lower()}"], after), gradient = jax.value_and_grad(
                    discriminator_loss, has_aux=True
                )(params[name], stats[name], keys[3 + i], batch[domain], fake)
                updated = networks[name].update(config.optim, rate, gradient)
                networks[name] = updated.replace(batch_stats=after)
        return state.replace(step=state.step + 1, networks=networks, pools=pools), terms

    return train_step


__all__ = [
    "DATA",
    "UPDATE_ORDERS",
    "create_state",
    "make_train_step",
    "make_translate",
    "translations",
]
