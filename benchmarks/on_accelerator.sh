#!/usr/bin/env bash
# All that is to be measured on a machine with a GPU, in stages that take less than ten minutes each.
#
#     DATA=FACADES_FOLDER OUT=results bash benchmarks/on_accelerator.sh parity
#     DATA=FACADES_FOLDER OUT=results bash benchmarks/on_accelerator.sh recipe evaluate
#
# The stages:
#
#     parity             the comparisons with PyTorch, in float32 without TF32
#     step_eager         our training step and PyTorch's, eager with TF32; every batch of BATCHES
#     step_best          the same in bfloat16, PyTorch with torch.compile and CUDA graphs
#     translation_eager  translation_best
#     cyclegan_eager     cyclegan_best
#     recipe             pix2pix on facades, all 80,000 steps
#     evaluate           its metrics and pictures on the test split
#     cyclegan           CycleGAN on the same images for the time that is left, and its pictures
#
# One call ends within LIMIT seconds: what is not begun by then is left out, and a training is
# stopped, saved, and goes on when its stage is called again. Tables, logs and pictures are written
# to OUT, few files for each stage; runs to RUNS, which must stay between the calls.
set -uo pipefail
cd "$(dirname "$0")/.."

OUT=${OUT:-accelerator}                   # folder of the results
RUNS=${RUNS:-/tmp/accelerator_runs}       # folder of checkpoints, compiled programs and packages
DATA=${DATA:-}                            # folder with facades' train/ and test/
WHEELS=${WHEELS:-}                        # folder of packages (*.whl) that the machine lacks
LIMIT=${LIMIT:-570}                       # seconds of the whole call
BATCHES=${BATCHES:-1 4 16 64}
SIZE=${SIZE:-256}                         # height and width of the images of the tables
ROUNDS=${ROUNDS:-20}
STEPS=${STEPS:-0}                         # of the trainings; 0: all of the recipe
FLAGS=${FLAGS:-}                          # of the trainings, such as --config.model.dtype=bfloat16
TESTS=${TESTS:-convolution normalization networks optim train_step cyclegan cut regression inpainting}

mkdir -p "$OUT" "$RUNS"
if [ -n "$WHEELS" ] && [ ! -e "$RUNS/packages" ]; then
  python3 -m pip install -q --no-index --no-deps --target "$RUNS/packages" "$WHEELS"/*.whl || exit
fi
export PYTHONPATH="$RUNS/packages${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

left() { echo $((LIMIT - SECONDS)); }

# run NAME SECONDS COMMAND...: its output goes to OUT/NAME.log too. Not begun if fewer seconds are
# left; ended with SIGTERM a little before the last one, so that a training has time to save.
run() {
  local name=$1 least=$2 code
  shift 2
  if [ "$(left)" -lt "$least" ]; then
    echo "no time left for: $*" | tee -a "$OUT/$name.log"
    return 1
  fi
  timeout --signal=TERM --kill-after=25 $(($(left) - 30)) "$@" 2>&1 | tee -a "$OUT/$name.log"
  code=${PIPESTATUS[0]}
  [ "$code" = 0 ] || echo "ended with code $code: $*" | tee -a "$OUT/$name.log"
  return "$code"
}

machine() {
  python3 -c '
import importlib.metadata as metadata, platform, jax
names = ["jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "torch", "numpy"]
found = {d.name: d.version for d in metadata.distributions() if d.name in names}
print("Python", platform.python_version(), *(f"{name} {found[name]}" for name in found), sep=", ")
print(jax.devices())'
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null
}

# table NAME FLAGS...: a row for every batch.
table() {
  local name=$1 batch log
  shift
  log=$(mktemp)
  for batch in $BATCHES; do
    if run "$name" 90 python3 -m benchmarks.train_step --batch="$batch" --size="$SIZE" \
      --rounds="$ROUNDS" "$@" | tee "$log"; then
      [ -e "$OUT/$name.md" ] || grep '^|' "$log" | head -n 2 >"$OUT/$name.md"
      grep '^|' "$log" | tail -n 1 >>"$OUT/$name.md"
    fi
  done
  rm -f "$log"
}

# train NAME CONFIG: until it is finished, or until the time is over.
train() {
  local name=$1 config=$2 steps=()
  [ "$STEPS" = 0 ] || steps=(--config.train.num_steps="$STEPS")
  # shellcheck disable=SC2086
  run "$name" 60 python3 launch.py --config="$config" --workdir="$RUNS/$name" \
    --config.data.dir="$DATA" --config.data.eval_split=test ${steps[@]+"${steps[@]}"} $FLAGS
}

# evaluate NAME CONFIG: metrics and pictures of the newest checkpoint; the curves of the training.
evaluate() {
  local name=$1 config=$2 file
  # shellcheck disable=SC2086
  run "$name" 45 python3 launch.py --config="$config" --workdir="$RUNS/$name" --mode=eval \
    --config.data.dir="$DATA" --config.data.eval_split=test --config.eval.checkpoint=latest $FLAGS
  for file in metrics.jsonl losses.png eval/metrics.json eval/grid.png; do
    [ ! -e "$RUNS/$name/$file" ] || cp "$RUNS/$name/$file" "$OUT/$name-${file//\//-}"
  done
}

parity() {
  local platform
  platform=$(python3 -c 'import jax; print(jax.default_backend().replace("gpu", "cuda,cpu"))')
  # XLA_FLAGS is set, so that the tests do not set it as for a CPU.
  # shellcheck disable=SC2046
  TEST_PLATFORM=$platform XLA_FLAGS=${XLA_FLAGS:-} JAX_DEFAULT_MATMUL_PRECISION=highest \
    XLA_PYTHON_CLIENT_PREALLOCATE=false run parity 60 python3 -m pytest -n 4 $(printf 'tests/test_%s.py ' $TESTS)
}

machine | tee "$OUT/machine.log"
for stage in "$@"; do
  echo "== $stage, $(left) s left"
  case $stage in
    parity) parity ;;
    step_eager) table "$stage" ;;
    step_best) table "$stage" --dtype=bfloat16 --compile ;;
    translation_eager) table "$stage" --inference ;;
    translation_best) table "$stage" --inference --dtype=bfloat16 --compile ;;
    cyclegan_eager) table "$stage" --config=cyclegan ;;
    cyclegan_best) table "$stage" --config=cyclegan --dtype=bfloat16 --compile ;;
    recipe) train facades configs/facades.py ;;
    evaluate) evaluate facades configs/facades.py ;;
    cyclegan)
      LIMIT=$((LIMIT - 60)) train cyclegan configs/cyclegan.py:facades
      evaluate cyclegan configs/cyclegan.py:facades
      ;;
    *) echo "there is no stage $stage; they are in the head of $0" && exit 2 ;;
  esac
done
