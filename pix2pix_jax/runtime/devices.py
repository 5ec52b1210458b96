"""The devices that a run computes on."""

import jax


def choose_devices(batch_size: int, num_devices: int = 0) -> list[jax.Device]:
    """The devices that share every batch evenly, each process's next to each other.

    Args:
        batch_size: images in a batch, over all devices.
        num_devices: how many to use. 0: one process takes the largest number that divides the
            batch, and says so if that leaves devices idle; several processes use all.

    Raises:
        ValueError: there are not so many, they cannot share the batch evenly, or some of several
            processes' devices would be left out.
    """
    found = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    total, processes = len(found), jax.process_count()
    if not 0 <= num_devices <= total:
        raise ValueError(
            f"config.train.num_devices is {num_devices}, and the number of devices here is "
            f"{total}: set it to that or less, or to 0 for as many as divide the batch"
        )
    if processes > 1 and num_devices not in (0, total):
        raise ValueError(
            f"config.train.num_devices is {num_devices}, and {processes} processes use all "
            f"their {total} devices: set it to 0"
        )
    count = num_devices or total
    if not num_devices and processes == 1:
        count = max(n for n in range(1, total + 1) if batch_size % n == 0)
    if batch_size % count:
        raise ValueError(
            f"config.train.batch_size is {batch_size}, which {count} devices cannot share evenly: "
            f"make it a multiple of {count}"
        )
    if not num_devices and count < total:
        print(
            f"{count} of {total} devices used: config.train.batch_size is {batch_size}; "
            f"a multiple of {total} uses all",
            flush=True,
        )
    return found[:count]
