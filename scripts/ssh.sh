#!/usr/bin/env bash
# Trains on several hosts: one process on each, with all of its GPUs, started by ssh.
#
#   HOSTS="gpu1 gpu2" scripts/ssh.sh --config=configs/facades.py --config.train.batch_size=16 \
#     --workdir=/shared/facades
#
# Run it on the first host. All have this repository and its environment at the same path, and see
# the workdir. Ctrl-C or SIGTERM stops all at the same step and saves. HOSTS="localhost localhost"
# starts the processes on this machine, without ssh.
set -euo pipefail
cd "$(dirname "$0")/.."
read -ra hosts <<<"${HOSTS:?the names of the hosts, this one first}"

python=$(command -v "${PYTHON:-python}")
command=("$python" launch.py "$@"
  "--coordinator=${hosts[0]}:${PORT:-12345}" "--num_processes=${#hosts[@]}")

for ((i = 1; i < ${#hosts[@]}; i++)); do
  if [[ ${hosts[i]} == localhost ]]; then
    "${command[@]}" "--process_id=$i" </dev/null &
  else
    remote=$(printf '%q ' cd "$PWD")"&& "$(printf '%q ' "${command[@]}" "--process_id=$i")
    # shellcheck disable=SC2029  # it is quoted for the other side
    ssh -o BatchMode=yes "${hosts[i]}" "$remote" </dev/null &
  fi
done
exec "${command[@]}" --process_id=0
