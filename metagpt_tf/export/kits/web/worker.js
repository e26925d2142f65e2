// Runs one .tflite file. A classic worker, not a module: LiteRT.js loads its WebAssembly by importScripts.
"use strict";

const MARK = '{"metagpt_tf": ';
const states = new Map(); // number -> what was learned, kept between calls
let runtime, model, about;

self.Module = { locateFile: (name) => new URL(`runtime/${name}`, self.location).href };

async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} did not arrive (${answer.status}).`);
  return new Uint8Array(await answer.arrayBuffer());
}

// What the file says of itself, after its checksum was compared: the runtime would believe a damaged file.
async function readAbout(content, path) {
  const damaged = new Error(`${path} is damaged or is no file of export_litert. Copy it again.`);
  const text = new TextDecoder("latin1").decode(content);
  const start = text.indexOf(MARK);
  if (start < 4) throw damaged;
  const length = new DataView(content.buffer).getUint32(start - 4, true);
  const digest = text.indexOf('"sha256": "', start) + 11;
  if (!self.crypto.subtle) throw new Error("Open this page by https:// or on this machine: the browser checks nothing elsewhere.");
  const empty = content.slice();
  empty.fill(48, digest, digest + 64);
  const sum = new Uint8Array(await self.crypto.subtle.digest("SHA-256", empty));
  const hex = Array.from(sum, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== text.slice(digest, digest + 64)) throw damaged;
  return JSON.parse(text.slice(start, start + length));
}

function tensorOf(signature, name, value, type, shape) {
  const size = shape.reduce((a, b) => a * b, 1);
  const kind = type === "float32" ? Float32Array : Int32Array;
  if (!(value instanceof kind) || value.length !== size) {
    throw new Error(`${signature}: ${name} must be ${size} numbers of ${type}, received ${value?.length}.`);
  }
  return new runtime.Tensor(value, shape);
}

const verbs = {
  async load({ path }) {
    const content = await fetched(path);
    about = await readAbout(content, path);
    runtime = await import("./runtime/litert.js");
    await runtime.loadLiteRt("runtime/litert_wasm_compat_internal.js");
    model = await runtime.loadAndCompile(content, { accelerator: "wasm" });
    return about;
  },

  async keep({ number, state }) {
    const size = about.state_size;
    if (!(state instanceof Float32Array) || state.length !== size || !state.every(Number.isFinite)) {
      throw new Error(`A state of this model is ${size} numbers, all of them finite. Learn again.`);
    }
    states.set(number, new runtime.Tensor(state, [size]));
  },

  async drop({ number }) {
    states.get(number).delete();
    states.delete(number);
  },

  async run({ signature, inputs, number }) {
    const specs = about.signatures[signature];
    if (!specs) throw new Error(`The file has no signature ${signature}.`);
    const tensors = {};
    try {
      for (const [name, spec] of Object.entries(specs)) {
        if (name !== "state") tensors[name] = tensorOf(signature, name, inputs[name], ...spec);
      }
      const given = specs.state ? { ...tensors, state: states.get(number) } : tensors;
      const outputs = await model.run(signature, given);
      const found = {};
      for (const [name, tensor] of Object.entries(outputs)) {
        found[name] = tensor.toTypedArray().slice();
        tensor.delete();
      }
      return found;
    } finally {
      for (const tensor of Object.values(tensors)) tensor.delete();
    }
  },
};

let last = Promise.resolve(); // one call at a time, in the order of asking

self.onmessage = ({ data: { id, verb, given } }) => {
  last = last
    .then(() => verbs[verb](given))
    .then(
      (result) => self.postMessage({ id, result }),
      (error) => self.postMessage({ id, error: String(error?.message ?? error) }),
    );
};
