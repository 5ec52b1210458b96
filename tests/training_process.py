"""A small training run as a process of its own, for tests that kill it.

python -m tests.training_process WORKDIR NUM_STEPS [full_disk | at_commit | slow]
"""

import os
import resource
import signal
import sys
import time


def main(workdir, num_steps, trouble=""):
    from tests.conftest import small_config

    config = small_config(**{"train.num_steps": int(num_steps)})
    from pix2pix_jax import train
    from pix2pix_jax.run import progress

    if trouble == "full_disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    if trouble == "at_commit":
        # Dies at the moment at which the checkpoint of step 8 would get its final name.
        rename = os.rename

        def die(source, target, **settings):
            if os.path.basename(os.fspath(target)) == "8":
                os.kill(os.getpid(), signal.SIGKILL)
            return rename(source, target, **settings)

        os.rename = os.replace = die
    if trouble == "slow":
        line = progress.Progress.line

        def slow_line(self, *arguments):
            time.sleep(0.2)
            return line(self, *arguments)

        progress.Progress.line = slow_line
    train.train(config, workdir)


if __name__ == "__main__":
    main(*sys.argv[1:])
