"""The pool of older translations that discriminators also see (Shrivastava et al. 2017)."""

import flax.struct
import jax
import jax.numpy as jnp

from pix2pix_jax.methods.contract import Layout


@flax.struct.dataclass
class ImagePool:
    """Stored images, of which the first `count` are in use. Part of the train state."""

    images: jax.Array  # float32 [size, H, W, C] in [-1, 1]
    count: jax.Array  # int32

    @classmethod
    def create(cls, size: int, *shape: int) -> "ImagePool":
        """An empty pool for `size` images of `shape` [H, W, C]."""
        return cls(jnp.zeros((size, *shape)), jnp.zeros((), jnp.int32))

    def query(self, key: jax.Array, images: jax.Array) -> tuple["ImagePool", jax.Array]:
        """Hands out one image for each given one, and keeps some of these.

        Image by image: until the pool is full it is stored and returned; then, with probability
        1/2, a random stored image is returned and replaced by it, else it is returned itself.

        Args:
            key: random key.
            images: [N, H, W, C].

        Returns:
            the pool afterwards, and images [N, H, W, C].
        """
        size = self.images.shape[0]
        swap_key, index_key = jax.random.split(key)
        swaps = jax.random.bernoulli(swap_key, 0.5, images.shape[:1])
        indices = jax.random.randint(index_key, images.shape[:1], 0, size)
        return self.exchange(swaps, indices, images)

    def query_over(
        self, layout: Layout, key: jax.Array, images: jax.Array
    ) -> tuple["ImagePool", jax.Array]:
        """`query` of images that lie over devices, each of which keeps the whole pool.

        Without `gather` after it, too, XLA fetches the batch once more.
        """
        pool, images = self.query(key, layout.gather(images))
        return pool, layout.spread(layout.gather(images))

    def exchange(
        self, swaps: jax.Array, indices: jax.Array, images: jax.Array
    ) -> tuple["ImagePool", jax.Array]:
        """`query` with its draws given: whether to swap, bool [N], and with which, int [N].

        What image by image would do is worked out from the places alone, for all at once: a loop
        over images would launch kernels for each, and on several devices fetch each from its own.
        """
        size, turn = self.images.shape[0], jnp.arange(images.shape[0])
        full = self.count + turn >= size
        places = jnp.where(full, indices, self.count + turn)
        # [i, j]: exchange j puts its image where exchange i takes one
        puts = (places[:, None] == places) & (swaps | ~full)
        handed_out = self._standing(images, places, puts & (turn < turn[:, None]))
        # Where several meet in one place, all write the image of the last.
        stored = self.images.at[places].set(self._standing(images, places, puts))
        pool = ImagePool(stored, jnp.minimum(self.count + len(turn), size))
        return pool, jnp.where((full & swaps)[:, None, None, None], handed_out, images)

    def _standing(self, images: jax.Array, places: jax.Array, puts: jax.Array) -> jax.Array:
        """What is in each of the `places` after the exchanges that `puts` marks, [N, H, W, C]."""
        last = jnp.max(jnp.where(puts, jnp.arange(len(places)), -1), axis=1)
        return jnp.where((last >= 0)[:, None, None, None], images[last], self.images[places])
