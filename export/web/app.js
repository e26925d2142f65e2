// Tabs, and the models behind them: each is loaded when its tab is first shown.

import { CodeTab } from "./code.js";
import { GlyphTab } from "./glyphs.js";
import { Learner } from "./model.js";
import { byId, say } from "./page.js";
import { readState } from "./state.js";

const TABS = { image: ["glyphs", GlyphTab], code: ["code", CodeTab], text: ["code", CodeTab] };

async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} did not arrive (${answer.status}). Is the page served whole?`);
  return answer;
}

async function open(entry, panel, Tab, prefix) {
  const learner = await Learner.open(entry.file);
  const initial = readState(new Uint8Array(await (await fetched(entry.initial)).arrayBuffer()), learner.about);
  const data = entry.data ? await (await fetched(entry.data)).json() : {};
  const pixels = data.pixels ? new Uint8Array(await (await fetched(data.pixels)).arrayBuffer()) : null;
  describe(panel.querySelector(".about"), learner.about);
  panel.querySelector(".work").hidden = false;
  const tab = new Tab(learner, initial, { ...data, pixels, kind: entry.kind });
  say(prefix, "Ready.");
  return tab;
}

function describe(place, about) {
  const lines = [
    `Model ${about.name}, ${about.quantization}; learns ${about.state_size.toLocaleString("en")} numbers (scope ${about.scope}) from ${about.k_shot} examples.`,
    `Limits: ${about.limits}`,
    `Licence: ${about.licence}`,
    "Runtime: LiteRT.js, Apache License 2.0 (runtime/NOTICE).",
  ];
  place.replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
}

const loaders = new Map(); // tab name -> function that loads its model, once

function show(name) {
  for (const other of ["glyphs", "code"]) {
    const selected = other === name;
    const tab = byId(`tab-${other}`);
    tab.setAttribute("aria-selected", selected);
    tab.tabIndex = selected ? 0 : -1;
    byId(`panel-${other}`).hidden = !selected;
  }
  loaders.get(name)?.();
}

function wireTabs() {
  const names = ["glyphs", "code"].filter((name) => !byId(`tab-${name}`).hidden);
  names.forEach((name, place) => {
    const tab = byId(`tab-${name}`);
    tab.addEventListener("click", () => show(name));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = names[(place + step + names.length) % names.length];
      show(next);
      byId(`tab-${next}`).focus();
    });
  });
  return names;
}

// From now on the page opens without a network; a browser that keeps nothing shows it all the same.
async function keptOffline() {
  try {
    await navigator.serviceWorker?.register("sw.js");
  } catch (error) {
    console.warn(`The page will need a network the next time: ${error.message}`);
  }
}

async function main() {
  const { models } = await (await fetched("models.json")).json();
  for (const entry of models) {
    const [prefix, Tab] = TABS[entry.kind];
    let opened = null;
    loaders.set(prefix, () => {
      opened ??= open(entry, byId(`panel-${prefix}`), Tab, prefix).catch((error) => {
        opened = null; // the tab may be chosen again
        say(prefix, error.message, true);
      });
      return opened;
    });
  }
  for (const name of ["glyphs", "code"]) byId(`tab-${name}`).hidden = !loaders.has(name);
  const names = wireTabs();
  if (!names.length) throw new Error("models.json names no model.");
  show(names.includes(location.hash.slice(1)) ? location.hash.slice(1) : names[0]);
  await keptOffline();
}

main().catch((error) => say("glyphs", error.message, true));
