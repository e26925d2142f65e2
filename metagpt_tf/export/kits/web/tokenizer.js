// Texts to ids and back: bytes are ids 3 to 258, merges of two ids come after, as the Python package applies them.

const WORD = / ?[A-Za-z\x80-\xff]+| ?[0-9]+| ?[^\t\n\v\f\r A-Za-z0-9\x80-\xff]+|[\t\n\v\f\r ]+(?![^\t\n\v\f\r ])|[\t\n\v\f\r ]+/g;
const LONGEST_WORD = 48;
const key = (left, right) => left * 65536 + right;
const bytesOf = (text) => Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");

export class Tokenizer {
  #merges = new Map();

  constructor({ merges = [], pad_id, bos_id, eos_id }) {
    [this.pad, this.bos, this.eos] = [pad_id, bos_id, eos_id];
    this.pieces = ["", "", "", ...Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte))]; // bytes as characters
    const known = new Map(this.pieces.map((piece, id) => [piece, id]).slice(3));
    merges.forEach(([left, right], rank) => {
      const piece = this.pieces[left] + this.pieces[right];
      if (!known.has(piece)) known.set(piece, this.pieces.push(piece) - 1);
      this.#merges.set(key(left, right), [rank, known.get(piece)]);
    });
  }

  encode(text) {
    const ids = [];
    for (const word of bytesOf(text).match(WORD) ?? []) {
      for (let at = 0; at < word.length; at += LONGEST_WORD) ids.push(...this.#word(word.slice(at, at + LONGEST_WORD)));
    }
    return ids;
  }

  #word(word) {
    const ids = Array.from(word, (byte) => byte.charCodeAt(0) + 3);
    for (;;) {
      let first = null;
      for (let at = 0; at + 1 < ids.length; at++) {
        const merge = this.#merges.get(key(ids[at], ids[at + 1]));
        if (merge && (!first || merge[0] < first.rank)) first = { rank: merge[0], joined: merge[1], at };
      }
      if (!first) return ids;
      ids.splice(first.at, 2, first.joined);
    }
  }

  // `length` ids: those of the text, EOS, PAD; a text that is too long is cut.
  pack(text, length) {
    const row = new Int32Array(length).fill(this.pad);
    const ids = this.encode(text).slice(0, length - 1);
    row.set([...ids, this.eos]);
    return row;
  }

  text(ids) {
    const end = Array.from(ids).indexOf(this.eos);
    const kept = Array.from(end < 0 ? ids : ids.slice(0, end), (id) => this.pieces[id] ?? "").join("");
    return new TextDecoder().decode(Uint8Array.from(kept, (byte) => byte.charCodeAt(0)));
  }
}
