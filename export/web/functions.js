// Functions of a Python file as pairs: signature and docstring, body. Read by lines, nothing is run.

const DEF = /^(\s*)(async\s+def|def)\s+\w+/;
const INDENT = 4;

const width = (line) => line.replace(/\t/g, " ".repeat(8)).search(/\S|$/);
const isBlank = (line) => line.trim() === "";
const balance = (line) => (line.match(/[([{]/g) ?? []).length - (line.match(/[)\]}]/g) ?? []).length;

// The row after the signature that begins at `row`, or -1 if it has no end, or has its body on the same line.
function afterSignature(lines, row) {
  let open = 0;
  for (let at = row; at < lines.length; at++) {
    const line = lines[at].replace(/\s#.*$/, "");
    open += balance(line);
    if (open <= 0) return line.trimEnd().endsWith(":") ? at + 1 : -1;
  }
  return -1;
}

// The row after the docstring at `row`; `row` itself if there is none.
function afterDocstring(lines, row) {
  const quotes = /^\s*[rRuU]?("""|'''|"|')/.exec(lines[row] ?? "")?.[1];
  if (!quotes) return row;
  if (quotes.length === 1) return row + 1;
  const first = lines[row].indexOf(quotes) + 3;
  if (lines[row].indexOf(quotes, first) >= 0) return row + 1;
  for (let at = row + 1; at < lines.length; at++) if (lines[at].includes(quotes)) return at + 1;
  return row;
}

// Pairs [source, target] of the functions in a text; documented ones, or all where none is documented.
export function functionsOf(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const found = [];
  lines.forEach((line, row) => {
    if (!DEF.test(line)) return;
    const base = width(line);
    const body = afterSignature(lines, row);
    if (body < 0) return;
    const start = afterDocstring(lines, body);
    let end = start;
    while (end < lines.length && (isBlank(lines[end]) || width(lines[end]) > base)) end++;
    while (end > start && isBlank(lines[end - 1])) end--;
    const first = lines.slice(start, end).find((one) => !isBlank(one));
    if (!first) return;
    const unit = width(first) - base;
    const move = (one) => (isBlank(one) ? "" : " ".repeat(Math.floor((Math.max(width(one) - base, 0) * INDENT) / unit)) + one.trimStart());
    const source = lines.slice(row, start).map(move).join("\n");
    const target = lines.slice(start, end).map(move).join("\n").replace(/^\n+/, "");
    found.push({ pair: [source, target], documented: start > body });
  });
  const documented = found.filter((one) => one.documented);
  return (documented.length ? documented : found).map((one) => one.pair);
}

// Pieces of a running text, each with what follows it, cut by the tokens of a model.
export function piecesOf(text, tokenizer, source, target) {
  const ids = tokenizer.encode(text);
  const pairs = [];
  for (let at = 0; at + source < ids.length; at += source + target) {
    pairs.push([tokenizer.text(ids.slice(at, at + source)), tokenizer.text(ids.slice(at + source, at + source + target))]);
  }
  return pairs;
}

// `count` of the pairs, spread evenly; where there are fewer, some come twice.
export function chosen(pairs, count) {
  return Array.from({ length: count }, (_, i) => pairs[pairs.length >= count ? Math.floor((i * pairs.length) / count) : i % pairs.length]);
}
