"""All metrics by name: which are better higher, and which a validation gives."""

from collections.abc import Iterable
from typing import Any

from pix2pix_jax.metrics import per_image, per_set, segmentation, weights_files

# What eval.set_metrics may have: the values of each, and whether they are better higher.
FURTHER: dict[str, dict[str, bool]] = {
    **{name: metric.higher_is_better for name, metric in per_set.SET_METRICS.items()},
    "lpips": {"lpips": False},
    "segmentation": dict.fromkeys(segmentation.SCORES, True),
}
HIGHER_IS_BETTER: dict[str, bool] = {
    **{name: better for name, (_, better) in per_image.METRICS.items()},
    "cycle_l1": False,
    "hole_l1": False,
    "hole_psnr": True,
    "hole_ssim": True,
    **{name: better for values in FURTHER.values() for name, better in values.items()},
}


def available(
    paired: bool, inverse: bool, has_holes: bool, set_metrics: Iterable[str]
) -> tuple[str, ...]:
    """Names of the metrics that a validation gives.

    Args:
        paired: whether there is a truth for every image.
        inverse: whether the method translates back, as CycleGAN does.
        has_holes: whether images have holes to fill.
        set_metrics: what eval.set_metrics asks for.
    """
    names = list(per_image.METRICS) if paired else []
    names += ["hole_l1", "hole_psnr", "hole_ssim"] if has_holes else []
    names += ["cycle_l1"] if inverse else []
    for name in set_metrics:
        names += FURTHER[name]
    return tuple(names)


def check_weights(evaluation: Any) -> None:
    """Raises FileNotFoundError that names all published files which are missing, but a segmenter's.

    Args:
        evaluation: the `eval` section of a config.
    """
    names, net, wanted = set(evaluation.set_metrics), evaluation.lpips_net, []
    if names & {"fid", "kid"}:
        wanted.append(weights_files.INCEPTION)
    if "lpips" in names:
        wanted += [weights_files.BACKBONES[net], weights_files.LPIPS_HEADS[net]]
    weights_files.check_there(evaluation.weights_dir, *wanted)
