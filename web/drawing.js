// The picture that is translated: an image, and what is painted over it with hard edges.
// (The soft edge between the colours of two labels would have the colour of a third.)

const UNDOS = 40;
const pen = (canvas) => canvas.getContext("2d", { willReadFrequently: true });
const pixels = (canvas) => pen(canvas).getImageData(0, 0, canvas.width, canvas.height);

export class Drawing {
  /**
   * @param {HTMLCanvasElement} canvas has as many pixels as the image.
   * @param {() => void} changed is called after each change.
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.tool = "rectangle"; // or brush, fill
    this.color = "#000000";
    this.radius = 4;
    this.enabled = true;
    this.image = document.createElement("canvas");
    this.paint = document.createElement("canvas");
    this.history = []; // of what was painted, before each stroke
    this.start = null; // where the stroke that is being made began
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => {
        if (event.isPrimary) this.start = null; // and not with a second finger
      });
    }
  }

  /** Begins anew with an image, scaled to a size. */
  begin(source, width, height) {
    for (const canvas of [this.canvas, this.image, this.paint]) {
      Object.assign(canvas, { width, height }); // which empties it
    }
    this.history = [];
    this.start = null;
    this.replace(source);
  }

  /** Another image of the same size, below what is painted: the next frame of a video. */
  replace(source) {
    const context = pen(this.image);
    context.imageSmoothingQuality = "high";
    context.fillStyle = "white"; // below transparent images
    context.fillRect(0, 0, this.image.width, this.image.height);
    context.drawImage(source, 0, 0, this.image.width, this.image.height);
    this.#show();
  }

  /** Takes back the last stroke. */
  undo() {
    this.start = null; // the stroke that is being made ends, too
    const before = this.history.pop();
    if (!before) return;
    pen(this.paint).putImageData(before, 0, 0);
    this.#show();
  }

  /** Removes all that was painted. */
  wipe() {
    this.start = null;
    this.#remember();
    pen(this.paint).clearRect(0, 0, this.paint.width, this.paint.height);
    this.#show();
  }

  /** All pixels, painted or not. */
  pixels() {
    return pixels(this.canvas);
  }

  /** The pixels of the image below, and 255 where it is painted over. */
  holed() {
    const [image, paint] = [this.image, this.paint].map(pixels);
    const hole = new Uint8Array(image.width * image.height);
    for (let i = 0; i < hole.length; i++) hole[i] = paint.data[4 * i + 3];
    return { image, hole };
  }

  #remember() {
    this.history = [...this.history.slice(1 - UNDOS), pixels(this.paint)];
  }

  #show() {
    const context = pen(this.canvas);
    context.drawImage(this.image, 0, 0);
    context.drawImage(this.paint, 0, 0);
    this.changed();
  }

  /** The pixel below the pointer; the image is centred in its box, as CSS's "contain" has it. */
  #position(event) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.canvas;
    const scale = Math.min(box.width / width, box.height / height);
    return {
      x: Math.floor((event.clientX - box.left - box.width / 2) / scale + width / 2),
      y: Math.floor((event.clientY - box.top - box.height / 2) / scale + height / 2),
    };
  }

  #begin(event) {
    if (!this.enabled || event.button || !event.isPrimary) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.#remember();
    const point = this.#position(event);
    if (this.tool === "fill") this.#fill(point);
    else {
      this.start = this.last = point;
      this.#move(event);
    }
    this.#show();
  }

  #move(event) {
    if (!this.start || !event.isPrimary) return;
    const context = pen(this.paint);
    const point = this.#position(event);
    context.fillStyle = this.color;
    if (this.tool === "rectangle") {
      context.putImageData(this.history.at(-1), 0, 0);
      const [left, right] = [this.start.x, point.x].sort((a, b) => a - b);
      const [top, bottom] = [this.start.y, point.y].sort((a, b) => a - b);
      context.fillRect(left, top, right - left + 1, bottom - top + 1);
    } else {
      this.#line(context, this.last, point);
      this.last = point;
    }
    this.#show();
  }

  /** Discs of whole pixels from one point to the other. */
  #line(context, from, to) {
    const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
    for (let i = 0; i <= steps; i++) {
      const x = Math.round(from.x + ((to.x - from.x) * i) / steps);
      const y = Math.round(from.y + ((to.y - from.y) * i) / steps);
      for (let row = -this.radius; row <= this.radius; row++) {
        const half = Math.floor(Math.sqrt((this.radius + 0.5) ** 2 - row ** 2));
        context.fillRect(x - half, y + row, 2 * half + 1, 1);
      }
    }
  }

  /** Paints the neighbouring pixels of the same colour. */
  #fill({ x, y }) {
    const { data, width, height } = this.pixels();
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const words = new Uint32Array(data.buffer);
    const old = words[y * width + x];
    const context = pen(this.paint);
    context.fillStyle = this.color;
    const seen = new Uint8Array(words.length);
    const stack = [y * width + x];
    while (stack.length) {
      const pixel = stack.pop();
      if (seen[pixel] || words[pixel] !== old) continue;
      seen[pixel] = 1;
      const column = pixel % width;
      context.fillRect(column, Math.floor(pixel / width), 1, 1);
      if (column > 0) stack.push(pixel - 1);
      if (column < width - 1) stack.push(pixel + 1);
      if (pixel >= width) stack.push(pixel - width);
      if (pixel < width * (height - 1)) stack.push(pixel + width);
    }
  }
}
