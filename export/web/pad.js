// Pixels on canvases: showing an image, and drawing one with a pointer or the keyboard. Ink is 1, paper 0.

// Puts an image [H, W, C] of values in [0, 1] on a canvas, dark ink on white paper.
export function paint(canvas, values, [height, width, channels]) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = 255 * (1 - values[i * channels + Math.min(c, channels - 1)]);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

export class Pad {
  #last = null;
  #cursor = null;

  constructor(canvas, changed) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.changed = changed;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#last = this.#place(event);
      this.#line(this.#last);
    });
    canvas.addEventListener("pointermove", (event) => this.#last && this.#line(this.#place(event)));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.#lift());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    this.clear();
  }

  clear() {
    this.context.fillStyle = "#fff";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.#cursor = [this.canvas.width / 2, this.canvas.height / 4];
    this.changed?.();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * this.canvas.width) / box.width, ((event.clientY - box.top) * this.canvas.height) / box.height];
  }

  #line(to) {
    const context = this.context;
    Object.assign(context, { lineWidth: this.canvas.width / 13, lineCap: "round", lineJoin: "round", strokeStyle: "#000" });
    context.beginPath();
    context.moveTo(...this.#last);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
    this.#last = to;
    this.changed?.();
  }

  #lift() {
    this.#last = null;
  }

  // Arrow keys move, with shift they draw as they move; space puts a dot.
  #key(event) {
    const step = this.canvas.width / 28;
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step], " ": [0, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    const from = this.#cursor;
    this.#cursor = from.map((value, axis) => Math.min(Math.max(value + move[axis], 0), this.canvas.width));
    if (event.key === " " || event.shiftKey) {
      this.#last = from;
      this.#line(this.#cursor);
      this.#lift();
    }
  }

  // The drawing as an image [H, W, C] of values in [0, 1].
  image([height, width, channels]) {
    const small = document.createElement("canvas");
    small.width = width;
    small.height = height;
    const context = small.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(this.canvas, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    return Float32Array.from({ length: height * width * channels }, (_, i) => 1 - data[4 * Math.floor(i / channels)] / 255);
  }
}
