"""A page to try trained models and Poisson blending in the browser.

pip install -r requirements-demo.txt
python demo.py                                     then open http://127.0.0.1:7860
python demo.py --models=runs,weights --port=7861   folders with runs, or PyTorch's generators (.pth)
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
from absl import logging
from PIL import Image

from configs.default import get_config
from pix2pix_jax.demo import blend_tab, pictures
from pix2pix_jax.demo.batch_tab import BatchTab
from pix2pix_jax.demo.inpaint_tab import InpaintTab
from pix2pix_jax.demo.translate_tab import TranslateTab
from pix2pix_jax.settings import subcommands
from pix2pix_jax.trained_models import TrainedModels

STYLE = """
.fit img {width: 100%; height: 100%; object-fit: contain} /* small images enlarged */
.compact .wrap {gap: 5px}
.compact label {padding: 4px 7px}
#classes label:has(input:checked) {outline: 2px solid var(--color-accent); outline-offset: -2px}
#classes input {border-radius: 3px; background-image: none !important; box-shadow: none !important}
"""
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
# Seconds: uploads and results are deleted an hour after they were written, looking every 5 minutes.
DELETE_CACHE = (300, 3600)


def build(folders: list[str]) -> gr.Blocks:
    """The page with its four tabs, over the models below some folders; not yet served."""
    models = TrainedModels(folders, get_config)
    with gr.Blocks(title="pix2pix_jax", analytics_enabled=False, delete_cache=DELETE_CACHE) as page:
        gr.Markdown("# pix2pix_jax")
        with gr.Tab("Translate"):
            TranslateTab(models).build(page)
        with gr.Tab("Batch"):
            BatchTab(models).build(page)
        with gr.Tab("Inpaint"):
            InpaintTab(models).build(page)
        with gr.Tab("Blend"):
            blend_tab.build(page)
    return page


@contextmanager
def served(folders: list[str], host: str, port: int | None, upload_mb: int) -> Iterator[gr.Blocks]:
    """Serves the page (without a port on a free one) within the context.

    Uploads are only ever decoded. They and the results lie in a folder of their own, which is
    deleted at the end: Gradio would leave them in a folder that all its programs share.

    Raises:
        OSError: the port is taken.
    """
    logging.set_verbosity(logging.ERROR)  # the libraries' warnings are not the user's
    Image.MAX_IMAGE_PIXELS = pictures.MAX_PIXELS // 2  # Pillow refuses twice as many, undecoded
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="demo_", dir=before, ignore_cleanup_errors=True) as own:
        os.environ["GRADIO_TEMP_DIR"] = own  # each component reads it when it is made
        try:
            page = build(folders)
            page.launch(
                server_name=host,
                server_port=port,
                max_file_size=upload_mb * 2**20,
                show_error=True,
                share=False,
                theme=THEME,
                css=STYLE,
                footer_links=[],
                prevent_thread_lock=True,
                quiet=True,
                _frontend=False,  # else an error where the first page takes more than 3 s to come
            )
            try:
                yield page
            finally:
                page.close(verbose=False)
        finally:
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def main() -> None:
    """Serves the page until Ctrl-C or SIGTERM."""
    parser = subcommands.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="runs,weights", help="folders, separated by commas")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves the whole network")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--max_upload_mb", type=int, default=20, help="size of an uploaded file")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # leaves the context, so deletes files
    folders = [folder for folder in options.models.split(",") if folder]
    missing = [folder for folder in folders if not os.path.isdir(folder)]
    if missing and options.models != parser.get_default("models"):
        sys.exit(f"error: there is no folder {missing[0]}")
    try:
        with served(folders, options.host, options.port, options.max_upload_mb) as page:
            print(f"{page.local_url}  (Ctrl-C ends it)", flush=True)
            page.block_thread()
    except (OSError, OverflowError) as error:  # the port is taken, or there is none such
        if "Cannot find empty port" in str(error):  # Gradio's words, which name its own flags
            error = f"port {options.port} is taken: give another --port"
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
