"""The pool of older translations that discriminators also see (Shrivastava et al. 2017)."""

import flax.struct
import jax
import jax.numpy as jnp


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

    def exchange(
        self, swaps: jax.Array, indices: jax.Array, images: jax.Array
    ) -> tuple["ImagePool", jax.Array]:
        """`query` with its draws given: whether to swap, bool [N], and with which, int [N]."""
        size = self.images.shape[0]

        def one(pool, item):
            swap, index, image = item
            full = pool.count >= size
            place = jnp.where(full, index, jnp.minimum(pool.count, size - 1))
            stored = pool.images[place]
            keep = swap | ~full
            replaced = pool.images.at[place].set(jnp.where(keep, image, stored))
            pool = ImagePool(replaced, jnp.minimum(pool.count + 1, size))
            return pool, jnp.where(full & swap, stored, image)

        return jax.lax.scan(one, self, (swaps, indices, images))
