"""Trains, evaluates or applies an image-to-image translator.

python launch.py --config=configs/facades.py                      train (resumes by itself)
python launch.py --config=configs/facades.py --mode=eval          metrics and pages of a split
python launch.py --workdir=runs/facades --mode=eval               the same: a run knows its config
python launch.py --workdir=runs/facades --mode=translate --input=photos --output=results
python launch.py --config=configs/facades.py --mode=import --config.init_from=latest_net_G.pth
python launch.py --workdir=runs/facades --mode=export --output=weights --format=onnx
python launch.py --config=configs/facades.py --distributed        one of a cluster's processes

After `pip install -e .` the command `pix2pix-jax` is the same, in any folder.
"""

from pix2pix_jax.__main__ import main

if __name__ == "__main__":
    main()
