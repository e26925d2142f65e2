// A model in a worker: what it can be asked, in words of texts and images.

import { Tokenizer } from "./tokenizer.js";

const KEPT = 4; // states in the worker
const TOP_P = 0.95;

export class Learner {
  #worker = new Worker("worker.js");
  #waiting = new Map();
  #states = new Map(); // state -> its number in the worker
  #count = 0;

  // Loads the file at `path`; fails with a message that can be shown.
  static async open(path) {
    const learner = new Learner();
    learner.#worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = learner.#waiting.get(id);
      learner.#waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    };
    learner.#worker.onerror = (event) => {
      const why = event.message ?? "worker.js did not load. Is the page served whole?";
      for (const { reject } of learner.#waiting.values()) reject(new Error(`The runtime stopped: ${why}`));
      learner.#waiting.clear();
    };
    learner.about = await learner.#ask("load", { path });
    learner.tokenizer = learner.about.tokenizer && new Tokenizer(learner.about.tokenizer);
    return learner;
  }

  #ask(verb, given) {
    const id = this.#count++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, verb, given });
    });
  }

  // Outputs of a signature by name. A state stays in the worker after its first use: it may be megabytes.
  async run(signature, { state, ...inputs }) {
    if (!state) return this.#ask("run", { signature, inputs });
    if (!this.#states.has(state)) {
      const number = this.#count++;
      await this.#ask("keep", { number, state });
      this.#states.set(state, number);
      const [oldest] = this.#states.keys();
      if (this.#states.size > KEPT) this.#forget(oldest);
    }
    return this.#ask("run", { signature, inputs, number: this.#states.get(state) });
  }

  #forget(state) {
    this.#ask("drop", { number: this.#states.get(state) });
    this.#states.delete(state);
  }

  shape(signature, input) {
    return this.about.signatures[signature][input][1];
  }

  get sourceLength() {
    return this.shape("adapt", "support_x")[1];
  }

  get targetLength() {
    return this.shape("adapt", "support_y")[1];
  }

  // Texts to ids, row after row.
  pack(texts, length) {
    const rows = new Int32Array(texts.length * length);
    texts.forEach((text, row) => rows.set(this.tokenizer.pack(text, length), row * length));
    return rows;
  }

  // The state that K pairs teach; `targets` are texts, or the ids that encodeImages made.
  async adapt(sources, targets) {
    const support_x = this.pack(sources, this.sourceLength);
    const support_y = targets instanceof Int32Array ? targets : this.pack(targets, this.targetLength);
    return (await this.run("adapt", { support_x, support_y })).state;
  }

  // Ids for a prompt: the likeliest, or drawn with a temperature and the noise of a seed.
  async write(prompt, state, temperature = 0, seed = 0) {
    const source = this.pack([prompt], this.sourceLength);
    if (temperature <= 0) return (await this.run("generate", { source, state })).output;
    const noise = gumbel(this.shape("sample", "noise").reduce((a, b) => a * b, 1), seed);
    const settings = { temperature: Float32Array.of(temperature), top_k: Int32Array.of(0), top_p: Float32Array.of(TOP_P) };
    return (await this.run("sample", { source, state, noise, ...settings })).output;
  }

  // The text of `write`, piece by piece; `more` is called with all that is there.
  async stream(prompt, state, more, temperature = 0, seed = 0) {
    const vocabulary = this.tokenizer.pieces.length;
    let carried = await this.run("start", { source: this.pack([prompt], this.sourceLength), state });
    let token = Int32Array.of(this.tokenizer.bos);
    const ids = [];
    for (let place = 0; place < this.targetLength; place++) {
      const { logits, ...cache } = await this.run("step", { token, position: Int32Array.of(place), state, ...carried });
      const noise = temperature > 0 ? gumbel(vocabulary, seed + place + 1) : null;
      token = Int32Array.of(best(noise ? likely(logits, temperature) : logits, noise, temperature));
      if (token[0] === this.tokenizer.eos) break;
      ids.push(token[0]);
      more(this.tokenizer.text(ids));
      carried = { ...carried, ...cache }; // what did not change is not returned
    }
    return this.tokenizer.text(ids);
  }

  async draw(output) {
    const { image, whole } = await this.run("draw", { output });
    return { image, whole: Boolean(whole[0]) };
  }

  async encodeImages(image) {
    return (await this.run("encode", { image })).target;
  }
}

// Logits of the likeliest tokens, TOP_P of the probability among them; others are -Infinity.
function likely(logits, temperature) {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const shares = Float64Array.from(logits, (value) => Math.exp((value - most) / temperature));
  const order = Array.from(shares.keys()).sort((a, b) => shares[b] - shares[a]);
  let left = TOP_P * shares.reduce((a, b) => a + b, 0);
  const kept = new Float32Array(logits.length).fill(-Infinity);
  for (const id of order) {
    kept[id] = logits[id];
    left -= shares[id];
    if (left <= 0) break;
  }
  return kept;
}

function best(logits, noise, temperature) {
  let place = 0;
  let most = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    const value = noise ? logits[i] / temperature + noise[i] : logits[i];
    if (value > most) [place, most] = [i, value];
  }
  return place;
}

// Gumbel noise of a seed: uniform numbers by the generator "mulberry32".
export function gumbel(count, seed) {
  let a = Math.imul(seed + 1, 0x9e3779b9);
  return Float32Array.from({ length: count }, () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    const uniform = (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    return -Math.log(-Math.log(uniform));
  });
}
