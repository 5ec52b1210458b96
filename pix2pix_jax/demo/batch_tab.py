"""The tab that translates several images into a zip file."""

import io
import pathlib
import zipfile
from collections.abc import Iterable

import gradio as gr
import numpy as np
from gradio import processing_utils
from PIL import Image

from pix2pix_jax.demo.errors import shown
from pix2pix_jax.demo.model_tab import PROGRESS, ModelTab, announce
from pix2pix_jax.demo.pictures import as_rgb, read_upload
from pix2pix_jax.images.files import in_channels

MAX_IMAGES = 100
ARCHIVE = "translations.zip"


class BatchTab(ModelTab):
    """Translates several images."""

    def translate_all(
        self, name: str, paths: list[str] | None, progress: gr.Progress = PROGRESS
    ) -> tuple[bytes, list[tuple[np.ndarray, str]], str]:
        """A zip file, its pictures with their names, and what was left out and why.

        Raises:
            ValueError: there is no image, there are too many, or none can be read.
        """
        if not paths:
            raise ValueError("choose images first")
        if len(paths) > MAX_IMAGES:
            raise ValueError(f"these are {len(paths)} images: choose up to {MAX_IMAGES}")
        model = self.model(name)
        translator = self.load(model, progress)
        results, skipped = [], []
        for number, path in enumerate(paths):
            try:
                image = read_upload(path, pathlib.Path(path).name)
            except ValueError as error:
                skipped.append(f"skipped: {error}")
                continue
            image = in_channels(image, model.direction.in_channels)
            announce(translator, image, progress, number / len(paths))
            results.append((as_rgb(translator(image, index=number)), path))
        if not results:
            raise ValueError("; ".join(skipped))
        names = picture_names([path for _, path in results])
        pictures = [(image, name) for (image, _), name in zip(results, names, strict=True)]
        return zipped(pictures), pictures, "\n\n".join(skipped)

    def build(self, page: gr.Blocks) -> None:
        """Lays out the tab."""
        dropdown, _, _ = self.model_row(page)
        with gr.Row():
            with gr.Column():
                files = gr.File(
                    label=f"Images (up to {MAX_IMAGES})",
                    file_count="multiple",
                    file_types=["image"],
                    height=240,
                )
                button = gr.Button("Translate all", variant="primary")
                archive = gr.File(label="Download", interactive=False)
                skipped = gr.Markdown()
            gallery = gr.Gallery(label="Translations", format="png", columns=3, height="auto")

        def run(name, paths, progress=PROGRESS):
            content, pictures, lines = self.translate_all(name, paths, progress)
            path = processing_utils.save_bytes_to_cache(content, ARCHIVE, archive.GRADIO_CACHE)
            return path, pictures, lines

        outputs = [archive, gallery, skipped]
        button.click(
            shown(run), [dropdown, files], outputs, show_progress_on=gallery, api_name="batch"
        )


def picture_names(paths: list[str]) -> list[str]:
    """Names of PNGs for translations of these files, no two of them equal."""
    names, taken = [], set()
    for path in paths:
        stem = pathlib.Path(path).stem
        name, number = f"{stem}.png", 2
        while name in taken:
            name, number = f"{stem}_{number}.png", number + 1
        names.append(name)
        taken.add(name)
    return names


def zipped(pictures: Iterable[tuple[np.ndarray, str]]) -> bytes:
    """A zip file of pictures uint8 [H, W, 3] as PNGs of these names."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:  # PNGs are compressed
        for image, name in pictures:
            png = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(image)).save(png, "PNG")
            archive.writestr(name, png.getvalue())
    return content.getvalue()
