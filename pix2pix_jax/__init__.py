"""Image-to-image translation in JAX: pix2pix and its relatives, exact to their references."""
