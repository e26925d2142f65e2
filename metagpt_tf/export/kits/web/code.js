// The tab of code: the model reads functions of the user's file, and completes others in its manner.

import { chosen, functionsOf, piecesOf } from "./functions.js";
import { byId, download, onFile, onPress, progress, say, seconds, slider } from "./page.js";
import { readStateFile, writeState } from "./state.js";

const NAME = "code";
const LARGEST = 2 ** 21; // bytes of a file that is read

export class CodeTab {
  constructor(learner, initial, { example = "", prompt = "", kind }) {
    Object.assign(this, { learner, initial, kind, state: null, variant: 0 });
    const text = byId("code-text");
    text.value = example;
    byId("code-prompt").value = prompt;
    byId("code-room").textContent = `It reads at most ${learner.sourceLength - 1} tokens and writes at most ${learner.targetLength - 1}; the rest is cut.`;
    text.addEventListener("input", () => this.#count());
    this.heat = slider("code-heat");
    onFile(NAME, "code-file", (file) => this.read(file));
    onFile(NAME, "code-load", (file) => this.load(file));
    onPress(NAME, "code-learn", () => this.learn());
    onPress(NAME, "code-write", () => this.write());
    onPress(NAME, "code-save", () => download(writeState(this.state, learner.about), "habits.npz"));
    this.#count();
  }

  pairs() {
    const text = byId("code-text").value;
    if (this.kind === "code") return functionsOf(text);
    return piecesOf(text, this.learner.tokenizer, this.learner.sourceLength - 1, this.learner.targetLength - 1);
  }

  #count() {
    const [count, k] = [this.pairs().length, this.learner.about.k_shot];
    const what = this.kind === "code" ? "functions" : "pieces of text";
    byId("code-count").textContent = count
      ? `${count} ${what} found; it learns from ${k}${count < k ? ", some of them twice" : count > k ? " of them" : ""}.`
      : `No ${what} found yet; it learns from ${k}.`;
  }

  async read(file) {
    if (file.size > LARGEST) throw new Error(`${file.name} has ${file.size.toLocaleString("en")} bytes; at most ${LARGEST.toLocaleString("en")} are read.`);
    let text;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    } catch {
      throw new Error(`${file.name} is no text in UTF-8.`);
    }
    byId("code-text").value = text;
    byId("code-name").textContent = file.name;
    this.#count();
    say(NAME, `Read ${file.name}.`);
  }

  async learn() {
    const pairs = this.pairs();
    if (!pairs.length) throw new Error(`There is nothing to learn from: give it a file with ${this.kind === "code" ? "functions" : "more text"}, or write some.`);
    progress(NAME, null);
    say(NAME, "Learning …");
    const began = performance.now();
    const rows = chosen(pairs, this.learner.about.k_shot);
    this.state = await this.learner.adapt(rows.map(([source]) => source), rows.map(([, target]) => target));
    const taken = seconds(began);
    document.body.dataset.learnSeconds = taken;
    progress(NAME, undefined);
    byId("code-save").disabled = false;
    say(NAME, `Learned in ${taken.toFixed(1)} s. Let it complete something.`);
  }

  async load(file) {
    this.state = await readStateFile(file, this.learner.about);
    byId("code-save").disabled = false;
    say(NAME, `Loaded ${file.name}.`);
  }

  async write() {
    const prompt = byId("code-prompt").value;
    this.variant += this.learner.targetLength; // other noise each time, where there is a variety
    const states = { after: this.state, before: this.initial };
    byId("code-after").textContent = this.state ? "" : "It has not learned yet.";
    for (const [kind, state] of Object.entries(states)) {
      if (!state) continue;
      const place = byId(`code-${kind}`);
      say(NAME, `Writing, as ${kind} learning …`);
      place.textContent = await this.learner.stream(prompt, state, (text) => (place.textContent = text), this.heat(), this.variant);
    }
    say(NAME, "Written.");
    document.body.dataset.written = "yes";
  }
}
