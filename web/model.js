// An exported generator, applied to the pixels of a canvas.

import { startSession } from "./runtime.js";

export class Model {
  /** @param {object} facts an entry of models/models.json. */
  constructor(facts) {
    this.facts = facts;
  }

  /** Downloads and starts it. */
  async start() {
    const answer = await fetch(`models/${this.facts.file}`);
    if (!answer.ok) throw new Error(`models/${this.facts.file} is not there (${answer.status})`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    this.megabytes = bytes.length / 1e6;
    const [height, width] = this.facts.trained_at;
    const values = new Float32Array(this.facts.in_channels * height * width);
    await startSession(bytes, async (started) => {
      Object.assign(this, started);
      await this.#run(values, height, width); // it compiles its programs now, or fails
    });
  }

  /**
   * Translates an image of any size, whose right and lower border are mirrored as far as needed.
   * @param {ImageData} image
   * @param {Uint8Array | null} hole 255 in the hole; for models that fill one.
   * @returns {Promise<ImageData>} of the same size.
   */
  async translate(image, hole = null) {
    const { divisor, in_channels: channels } = this.facts;
    const [height, width] = [image.height, image.width].map(
      (side) => Math.ceil(side / divisor) * divisor,
    );
    const values = toPlanes(image, hole, height, width, channels);
    const output = await this.#run(values, height, width);
    return toImage(output, this.facts.out_channels, height, width, image);
  }

  async #run(values, height, width) {
    const shape = [1, this.facts.in_channels, height, width];
    const image = new this.ort.Tensor("float32", values, shape);
    const { translation } = await this.session.run({ image });
    const output = await translation.getData();
    translation.dispose();
    return output;
  }
}

/** RGBA levels to planes [C, height, width] in [-1, 1]. */
function toPlanes(image, hole, height, width, channels) {
  const { data } = image;
  const plane = height * width;
  const values = new Float32Array(channels * plane);
  const colors = hole ? channels - 1 : channels;
  const value = (level) => level / 127.5 - 1;
  for (let i = 0; i < plane; i++) {
    const y = mirrored(Math.floor(i / width), image.height);
    const pixel = y * image.width + mirrored(i % width, image.width);
    const [red, green, blue] = [data[4 * pixel], data[4 * pixel + 1], data[4 * pixel + 2]];
    if (colors === 3) {
      values[i] = value(red);
      values[i + plane] = value(green);
      values[i + 2 * plane] = value(blue);
    } else {
      values[i] = value(luma(red, green, blue));
    }
    if (hole) values[i + colors * plane] = value(hole[pixel]);
  }
  return values;
}

/** Planes [C, height, width] in [-1, 1] to an image of the size of `like`. */
function toImage(values, channels, height, width, like) {
  const result = new ImageData(like.width, like.height);
  for (let y = 0; y < like.height; y++) {
    for (let x = 0; x < like.width; x++) {
      const pixel = 4 * (y * like.width + x);
      for (let c = 0; c < 3; c++) {
        const plane = channels === 3 ? c : 0;
        result.data[pixel + c] = (values[(plane * height + y) * width + x] + 1) * 127.5; // rounds
      }
      result.data[pixel + 3] = 255;
    }
  }
  return result;
}

/** The pixel that number i of a border shows: the image, and its mirror image, in turns. */
function mirrored(i, size) {
  const turn = i % (2 * size);
  return turn < size ? turn : 2 * size - 1 - turn;
}

/** Pillow's gray level. */
function luma(red, green, blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}
