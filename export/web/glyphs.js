// The tab of letters: some of a style are given, the model learns from them and draws the others.

import { Pad, paint } from "./pad.js";
import { byId, download, onFile, onPress, progress, say, seconds, slider } from "./page.js";
import { readStateFile, writeState } from "./state.js";

const SUGGESTED = "AaGgRe5nBbQkSt2y";
const NAME = "glyphs";

export class GlyphTab {
  #jobs = [];
  #pumping = false;
  #learning = false;
  #variant = 0;

  constructor(learner, initial, { characters, prompts, styles, pixels }) {
    Object.assign(this, { learner, initial, characters, prompts, styles, pixels });
    this.shape = learner.about.image.shape;
    this.size = this.shape.reduce((a, b) => a * b, 1);
    this.count = learner.about.k_shot;
    this.state = null;
    this.draw = 0;
    this.pad = new Pad(byId("glyphs-canvas"));
    this.#fillStyles();
    this.#makeAlphabet();
    this.heat = slider("glyphs-heat", () => this.#drawAll());
    onPress(NAME, "glyphs-learn", () => this.learn());
    onPress(NAME, "glyphs-others", () => this.#choose(++this.draw));
    onPress(NAME, "glyphs-save", () => download(writeState(this.state, learner.about), "letters.npz"));
    onPress(NAME, "glyphs-clear", () => this.pad.clear());
    onPress(NAME, "glyphs-done", () => this.#keepDrawing());
    onFile(NAME, "glyphs-load", (file) => this.load(file));
    this.#choose(0);
    this.#queue("before", initial);
  }

  #fillStyles() {
    for (const element of document.querySelectorAll("#panel-glyphs .k-shot")) element.textContent = this.count;
    const select = byId("glyphs-style");
    select.replaceChildren(...[...this.styles, "Your own: draw each letter"].map((name, i) => new Option(name, i)));
    select.addEventListener("change", () => {
      this.#fillGiven();
      this.#showTruth();
    });
  }

  get style() {
    const index = Number(byId("glyphs-style").value);
    return index < this.styles.length ? index : null;
  }

  #glyph(style, character) {
    const start = (style * this.characters.length + character) * this.size;
    return Float32Array.from(this.pixels.subarray(start, start + this.size), (value) => value / 255);
  }

  // Which letters are given: a suggestion first, then others at random.
  #choose(draw) {
    const places = Array.from({ length: this.characters.length }, (_, i) => i);
    const first = Array.from(SUGGESTED, (c) => this.characters.indexOf(c)).filter((i) => i >= 0);
    const order = draw ? places.map((i) => [Math.random(), i]).sort((a, b) => a[0] - b[0]).map(([, i]) => i) : [...new Set([...first, ...places])];
    this.given = order.slice(0, this.count).map((character) => ({ character, image: null }));
    this.#fillGiven();
  }

  #fillGiven() {
    byId("glyphs-pad").hidden = true;
    for (const slot of this.given) slot.image = this.style === null ? new Float32Array(this.size) : this.#glyph(this.style, slot.character);
    byId("glyphs-given").replaceChildren(...this.given.map((slot, place) => this.#slot(slot, place)));
    const shown = new Set(this.given.map((slot) => slot.character));
    this.cells?.forEach(({ item }, i) => item.classList.toggle("shown", shown.has(i)));
    if (this.style === null) this.#edit(0);
  }

  #slot(slot, place) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const name = this.characters[slot.character];
    button.setAttribute("aria-label", `Draw ${name} yourself`);
    button.setAttribute("aria-pressed", "false");
    button.append(document.createElement("canvas"), name);
    button.addEventListener("click", () => this.#edit(place));
    paint(button.firstChild, slot.image, this.shape);
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  #edit(place) {
    this.edited = place;
    byId("glyphs-drawn").textContent = this.characters[this.given[place].character];
    byId("glyphs-given").querySelectorAll("button").forEach((button, i) => button.setAttribute("aria-pressed", i === place));
    byId("glyphs-pad").hidden = false;
    say(NAME, `Draw ${this.characters[this.given[place].character]}.`);
    this.pad.changed = null; // clearing the pad is no drawing of the letter that was there before
    this.pad.clear();
    this.pad.changed = () => this.#repaint();
  }

  #repaint() {
    const slot = this.given[this.edited];
    slot.image = this.pad.image(this.shape);
    paint(byId("glyphs-given").querySelectorAll("canvas")[this.edited], slot.image, this.shape);
  }

  #keepDrawing() {
    this.pad.changed = null;
    byId("glyphs-given").querySelectorAll("button")[this.edited].focus();
    const blank = this.given.findIndex((slot) => !slot.image.some((value) => value > 0.1));
    if (blank >= 0 && this.style === null) this.#edit(blank);
    else byId("glyphs-pad").hidden = true;
  }

  #makeAlphabet() {
    this.cells = Array.from(this.characters, (character) => {
      const item = document.createElement("li");
      const canvases = {};
      for (const kind of ["before", "after", "truth"]) {
        canvases[kind] = Object.assign(document.createElement("canvas"), { className: kind, hidden: kind !== "before" });
        canvases[kind].setAttribute("role", "img");
        canvases[kind].setAttribute("aria-label", `${character} ${kind === "truth" ? "of the font" : kind}`);
        paint(canvases[kind], new Float32Array(this.size), this.shape);
      }
      item.append(character, ...Object.values(canvases));
      return { item, ...canvases };
    });
    byId("glyphs-alphabet").replaceChildren(...this.cells.map(({ item }) => item));
  }

  #showTruth() {
    byId("glyphs-truth-note").hidden = this.style === null;
    this.cells.forEach((cell, i) => {
      cell.truth.hidden = this.style === null || !this.state;
      if (this.style !== null) paint(cell.truth, this.#glyph(this.style, i), this.shape);
    });
  }

  async learn() {
    if (!this.given.every((slot) => slot.image.some((value) => value > 0.1))) {
      throw new Error("A letter is still empty. Choose it above and draw it, or take a style from the list.");
    }
    this.#jobs = [];
    this.#learning = true;
    progress(NAME, null);
    say(NAME, "Learning …");
    const began = performance.now();
    const images = new Float32Array(this.count * this.size);
    this.given.forEach((slot, i) => images.set(slot.image, i * this.size));
    try {
      const targets = await this.learner.encodeImages(images);
      this.state = await this.learner.adapt(this.given.map((slot) => this.prompts[slot.character]), targets);
    } finally {
      this.#learning = false;
    }
    const taken = seconds(began);
    document.body.dataset.learnSeconds = taken;
    say(NAME, `Learned in ${taken.toFixed(1)} s. Drawing …`);
    this.#learned();
  }

  async load(file) {
    this.state = await readStateFile(file, this.learner.about);
    say(NAME, `Loaded ${file.name}. Drawing …`);
    this.#learned();
  }

  #learned() {
    byId("glyphs-save").disabled = false;
    this.#showTruth();
    this.#drawAll();
  }

  // The letters that were not given come first.
  #drawAll() {
    this.#jobs = [];
    this.#variant++; // other noise, where there is a variety
    if (this.state) this.#queue("after", this.state);
    this.#queue("before", this.initial);
  }

  #queue(kind, state) {
    const given = new Set(this.given.map((slot) => slot.character));
    const places = this.cells.map((_, i) => i).sort((a, b) => given.has(a) - given.has(b) || a - b);
    this.#jobs.push(...places.map((i) => ({ kind, state, i, began: performance.now(), first: i === places[0] })));
    this.#pump().catch((error) => say(NAME, error.message, true));
  }

  async #pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let job = this.#jobs.shift(); job; job = this.#jobs.shift()) await this.#drawOne(job);
      if (this.#learning) return; // what is shown now is that
      progress(NAME, undefined);
      if (this.state) say(NAME, "The alphabet is drawn.");
      document.body.dataset.drawn = this.state ? "after" : "before";
    } finally {
      this.#pumping = false;
    }
  }

  async #drawOne({ kind, state, i, began, first }) {
    const { image, whole } = await this.learner.draw(await this.learner.write(this.prompts[i], state, this.heat(), this.#variant * this.cells.length + i));
    if (kind === "after" && state !== this.state) return;
    const canvas = this.cells[i][kind];
    canvas.hidden = false;
    canvas.title = whole ? "" : "Not written whole";
    paint(canvas, image, this.shape);
    if (kind === "after") {
      if (first) document.body.dataset.firstGlyphSeconds = seconds(began);
      const left = this.#jobs.filter((job) => job.kind === "after").length;
      progress(NAME, 1 - left / this.cells.length);
    }
  }
}
