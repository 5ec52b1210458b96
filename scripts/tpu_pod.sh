#!/usr/bin/env bash
# Trains on a TPU pod slice: one process on each of its hosts, with all of the host's chips.
#
#   TPU=NAME ZONE=us-east5-a scripts/tpu_pod.sh --config=configs/facades.py \
#     --config.train.batch_size=16 --config.data.dir=gs://BUCKET/facades --workdir=gs://BUCKET/facades_run
#
# The hosts share no disk, so the workdir is in a bucket, and so are the data (pairs as folders).
# What is committed here is copied to the hosts. Run it again to go on. To stop, which saves first:
#
#   gcloud compute tpus tpu-vm ssh NAME --zone=ZONE --worker=0 --command="pkill -TERM -f launch.py"
set -euo pipefail
cd "$(dirname "$0")/.."
: "${TPU:?the name of the TPU}" "${ZONE:?its zone}"

code=$(mktemp --suffix=.tar.gz)
trap 'rm -f "$code"' EXIT
git archive --format=tar.gz --output="$code" HEAD
gcloud compute tpus tpu-vm scp "$code" "$TPU:pix2pix_jax.tar.gz" --zone="$ZONE" --worker=all

arguments=$(printf '%q ' "$@")
gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="
  set -e
  mkdir -p pix2pix_jax && cd pix2pix_jax && tar -xzf ../pix2pix_jax.tar.gz
  test -d .venv || python3 -m venv .venv
  . .venv/bin/activate
  pip install --quiet 'jax[tpu]' -r requirements.txt -r requirements-cloud.txt
  python launch.py --distributed $arguments"
