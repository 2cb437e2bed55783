// Text: elements made of it, what of it matched, and what a number dials.

const LETTERS = { ł: "l", ø: "o", đ: "d", ð: "d", ı: "i", æ: "ae", œ: "oe", ß: "ss", þ: "th" };
const WRITTEN_OUT = { ...LETTERS, ä: "ae", ö: "oe", ü: "ue" };
const PART_OF_WORD = /[\p{L}\p{N}]/u;
const UNSPACED = /^[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]/u;
const SHORTEST_NUMBER = 3; // digits that are found and marked anywhere in a number, fewer at its start
const KEYPAD = { abc: 2, def: 3, ghi: 4, jkl: 5, mno: 6, pqrs: 7, tuv: 8, wxyz: 9 };

/** Return an element; strings among its children are text, never HTML. */
export function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Return rows of a <dl>, without those that have no value. */
export function described(pairs) {
  return pairs.filter(([, value]) => value).flatMap(([name, value]) => [
    make("dt", {}, name), make("dd", {}, make("bdi", {}, value)),
  ]);
}

/** Return text without case, accents and apostrophes, and where in the original each character of it stands. */
function fold(text, letters) {
  const from = [];
  let folded = "";
  let at = 0;
  for (const char of text) {
    const small = char.toLowerCase();
    const plain = /['’ʼ]/.test(char) ? "" : letters[small] ?? small.normalize("NFKD").replace(/\p{M}/gu, "");
    folded += plain;
    from.push(...Array(plain.length).fill(at));
    at += char.length;
  }
  return { folded, from };
}

/** Return the words of what was typed, in both spellings, as fold() has them. */
function words(q) {
  return [LETTERS, WRITTEN_OUT].flatMap((letters) => fold(q, letters).folded.match(/[\p{L}\p{N}]+/gu) ?? []);
}

/** Return [start, end] of each place in a name where one of the words begins, or stands `anywhere`. */
function placesInName(name, q, anywhere) {
  const found = [];
  for (const letters of [LETTERS, WRITTEN_OUT]) {
    const { folded, from } = fold(name, letters);
    for (const word of words(q)) {
      for (let at = folded.indexOf(word); at >= 0; at = folded.indexOf(word, at + 1)) {
        const begins = anywhere || UNSPACED.test(word) || !PART_OF_WORD.test(folded[at - 1] ?? " ");
        if (begins) found.push([from[at], from[at + word.length] ?? name.length]);
      }
    }
  }
  return found;
}

/** Return the same of a number: of one that is typed whole, what it ends in is enough (+49 30 1234 is 030 1234). */
function placesInNumber(number, q) {
  const all = fold(number, LETTERS);
  const kept = [...all.from.keys()].filter((at) => PART_OF_WORD.test(all.folded[at]));
  const digits = kept.map((at) => all.folded[at]).join("");
  const isNumber = /^[\d\s+().\/-]+$/.test(q.normalize("NFKC"));
  const typedParts = isNumber ? [fold(q, LETTERS).folded.replace(/[^\d]/g, "")] : words(q);
  return typedParts.flatMap((typed) => {
    for (let part = typed; part; part = part.slice(1)) {
      const at = typed.length < SHORTEST_NUMBER && !digits.startsWith(typed) ? -1 : digits.indexOf(part);
      if (at >= 0) return [[all.from[kept[at]], endOf(number, all.from[kept[at + part.length - 1]])]];
      if (!isNumber || part.length <= SHORTEST_NUMBER) break;
    }
    return [];
  });
}

/** Return where the character ends that begins at a place. */
function endOf(text, start) {
  return start + String.fromCodePoint(text.codePointAt(start)).length;
}

/** Return the nodes of text whose places are marked. */
function mark(text, places) {
  const nodes = [];
  let done = 0;
  for (const [start, end] of places.sort((a, b) => a[0] - b[0] || b[1] - a[1])) {
    if (end <= done) continue;
    const begin = Math.max(start, done);
    nodes.push(text.slice(done, begin), make("mark", {}, text.slice(begin, end)));
    done = end;
  }
  return [...nodes, text.slice(done)];
}

export const markedName = (name, q, match) => mark(name, placesInName(name, q, match === "inside"));
export const markedNumber = (number, q) => mark(number, placesInNumber(number, q));

/** Return the value of a decimal digit of any script: each has its ten in a row. */
function valueOf(digit) {
  let value = 0;
  while (value < 9 && /\p{Nd}/u.test(String.fromCodePoint(digit.codePointAt(0) - value - 1))) value++;
  return value;
}

// What is no part of the number, as contacts/phone.py reads it: pauses, parameters, ext 5, x5.
const SUFFIX = new RegExp(
  "(?<=[a-z\\d])[^\\w,;]*[,;][\\W_]*(?:(?:ext(?:ension|n)?[\\W_]*)?(?=\\d)|[a-z-]+=)" +
  "|(?:(?<=\\d)[\\W_]*|(?<=[a-z])[\\s(]+)(?:ext(?:ension|n)?[\\W_]*(?=\\d)|x[\\W_]*(?=\\d)[\\W\\d_]*(?:[a-z-]+=|$))", "i");

/** Return the tel: URL of a number (RFC 3966), as contacts/phone.py reads it; "" for one without digits. */
export function telUrl(number) {
  const plain = number.normalize("NFKC").replace(/\p{Cf}/gu, "").replace(/\p{Nd}/gu, valueOf);
  const first = plain.trim().replace(/^tel:/i, "").split(/(?<!,),(?!,)|(?<!;);(?!;|\s*ext\b)/i)[0]
    .replace(/^\W*(?=\+)/, "").replace(/^((?:\+|00).*?)\(\s*0\s*\)/, "$1");
  const isCode = /^[*#]/.test(first); // such as #31#, which hides who calls
  const end = isCode ? -1 : first.search(SUFFIX);
  const [main, suffix] = end < 0 ? [first] : [first.slice(0, end), first.slice(end).match(/\d+/)?.[0]];
  if (!/\d/.test(main)) return "";
  const dialled = main.toLowerCase().replace(/[a-z]/g, (letter) =>
    KEYPAD[Object.keys(KEYPAD).find((key) => key.includes(letter))]).replace(isCode ? /[^\d*#]/g : /(?!^\+)\D/g, "");
  return `tel:${encodeURIComponent(dialled).replace(/^%2B/, "+")}${suffix ? `;ext=${suffix}` : ""}`;
}
