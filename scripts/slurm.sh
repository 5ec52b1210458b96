#!/usr/bin/env bash
# Trains on a Slurm cluster: one process for each GPU. The batch size is a multiple of their number.
#
#   sbatch scripts/slurm.sh --config=configs/facades.py --config.train.batch_size=16
#
# Submit it from the repository. Change nodes, GPUs and hours here or as options of sbatch before
# the script's name. Submitted again, it goes on where it was stopped.
#SBATCH --job-name=pix2pix
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=4
#SBATCH --time=24:00:00
#SBATCH --open-mode=append
#SBATCH --signal=TERM@180
set -euo pipefail

# Three minutes before the job's time is over the run gets SIGTERM, saves and stops.
# JAX takes the first node as coordinator, and the GPU of a process's number on its node.
srun --kill-on-bad-exit=1 python launch.py --distributed "$@"
