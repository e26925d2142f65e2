// What was learned, as a file: the .npz that numpy and the Python package read and write, whole or not at all.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

const ascii = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0));

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function numbers(...pairs) {
  const view = new DataView(new ArrayBuffer(pairs.reduce((size, [width]) => size + width, 0)));
  let at = 0;
  for (const [width, value] of pairs) {
    if (width === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += width;
  }
  return new Uint8Array(view.buffer);
}

// One array in numpy's own format.
function npy(descr, shape, data) {
  const head = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`;
  const padded = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + "\n";
  return joined([ascii("\x93NUMPY\x01\x00"), numbers([2, padded.length]), ascii(padded), data]);
}

function text(value) {
  const codes = Uint32Array.from(value, (c) => c.charCodeAt(0));
  return npy(`<U${value.length}`, "()", new Uint8Array(codes.buffer));
}

// The bytes of a state file.
export function writeState(state, about) {
  const files = {
    "state.npy": npy("<f4", `(${state.length},)`, new Uint8Array(state.buffer, state.byteOffset, state.byteLength)),
    "scope.npy": text(about.scope),
    "keep_zeros.npy": npy("|b1", "()", Uint8Array.of(about.keep_zeros ? 1 : 0)),
    "model.npy": text(about.model),
  };
  const parts = [];
  const list = [];
  let at = 0;
  for (const [name, data] of Object.entries(files)) {
    const common = joined([numbers([2, 20], [2, 0], [2, 0], [2, 0], [2, 33], [4, crc32(data)], [4, data.length], [4, data.length], [2, name.length], [2, 0])]);
    const local = joined([ascii("PK\x03\x04"), common, ascii(name), data]);
    list.push(joined([ascii("PK\x01\x02"), numbers([2, 20]), common, numbers([2, 0], [2, 0], [2, 0], [4, 0], [4, at]), ascii(name)]));
    parts.push(local);
    at += local.length;
  }
  const directory = joined(list);
  const count = list.length;
  const end = joined([ascii("PK\x05\x06"), numbers([2, 0], [2, 0], [2, count], [2, count], [4, directory.length], [4, at], [2, 0])]);
  return joined([...parts, directory, end]);
}

// Arrays of an .npz by their names; throws where a part is damaged.
function arraysOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - 22;
  if (end < 0 || view.getUint32(end, true) !== 0x06054b50) throw new Error("it is cut, or no .npz file");
  const found = {};
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error("its list of parts is damaged");
    const [method, sum, size] = [view.getUint16(at + 10, true), view.getUint32(at + 16, true), view.getUint32(at + 20, true)];
    const [nameLength, extra, comment, local] = [28, 30, 32].map((o) => view.getUint16(at + o, true)).concat(view.getUint32(at + 42, true));
    const name = String.fromCharCode(...bytes.subarray(at + 46, at + 46 + nameLength));
    if (method !== 0) throw new Error("its parts are compressed: save it with numpy.savez");
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const data = bytes.subarray(start, start + size);
    if (data.length !== size || crc32(data) !== sum) throw new Error(`its part ${name} is damaged`);
    found[name.replace(/\.npy$/, "")] = arrayOf(data);
    at += 46 + nameLength + extra + comment;
  }
  return found;
}

function arrayOf(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const start = 10 + view.getUint16(8, true);
  const head = String.fromCharCode(...data.subarray(10, start));
  const descr = /'descr': '([^']+)'/.exec(head)?.[1] ?? "";
  const flat = /'shape': \(\d*,?\)/.test(head); // of at most one axis
  return { descr, flat, body: data.slice(start) };
}

// The state in a file that was chosen; one that is too large for a state is not read.
export async function readStateFile(file, about) {
  const most = 4 * about.state_size + 2 ** 16;
  if (file.size > most) throw new Error(`${file.name} has ${file.size.toLocaleString("en")} bytes, a state of this model at most ${most.toLocaleString("en")}. Choose one that this page or State.save wrote.`);
  return readState(new Uint8Array(await file.arrayBuffer()), about);
}

// The state in a file's bytes, if it is one of this model; otherwise an error that says why not.
export function readState(bytes, about) {
  let arrays;
  try {
    arrays = arraysOf(bytes);
  } catch (error) {
    throw new Error(`This is no whole state file: ${error instanceof RangeError ? "it is cut" : error.message}. Choose one that this page or State.save wrote.`);
  }
  const { state, model } = arrays;
  if (model && !model.descr.startsWith("<U")) throw new Error("This file does not say whose state it is. Choose one that this page or State.save wrote.");
  if (!state || state.descr !== "<f4" || !state.flat) throw new Error("This file holds no state, one row of float32 numbers. Choose one that this page or State.save wrote.");
  const whose = model && Array.from(new Uint32Array(model.body.buffer), (c) => String.fromCodePoint(c)).join("");
  if (whose && whose !== about.model) throw new Error("This state was learned by another model, or another version of this one. Learn again here.");
  if (state.body.length !== 4 * about.state_size) {
    throw new Error(`This state has ${state.body.length / 4} numbers, this model needs ${about.state_size}. It is another model's.`);
  }
  const values = new Float32Array(state.body.buffer);
  if (!values.every(Number.isFinite)) throw new Error("This state holds what is no number. Learn again.");
  return values;
}
