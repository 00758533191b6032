// tests/peer/tokenizer_strings.js — the same thousands of strings every time: scripts, white space, code, HTML, emoji,
// controls, numbers, almost-control tokens, and random rows of vocabulary pieces, which stress the order of merges most.
"use strict";

let state = 1;
function random() { // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const times = (n, make) => Array.from({ length: n }, make);
const join = (least, most, make, between = "") => times(least + below(most - least + 1), make).join(between);

const scripts = {
    latin: [0x41, 0x7a], latin1: [0xc0, 0xff], latinExtendedA: [0x100, 0x17f], latinExtendedB: [0x180, 0x24f], ipa: [0x250, 0x2af],
    vietnamese: [0x1ea0, 0x1ef9], greek: [0x391, 0x3c9], greekExtended: [0x1f00, 0x1fff], cyrillic: [0x410, 0x44f], cyrillicExtended: [0x400, 0x52f],
    armenian: [0x531, 0x587], hebrew: [0x5d0, 0x5ea], arabic: [0x620, 0x64a], arabicExtended: [0x660, 0x6ff], syriac: [0x710, 0x74a],
    thaana: [0x780, 0x7b1], nko: [0x7c0, 0x7ea], devanagari: [0x900, 0x97f], bengali: [0x980, 0x9fe], gurmukhi: [0xa00, 0xa75],
    gujarati: [0xa81, 0xaf1], oriya: [0xb01, 0xb77], tamil: [0xb82, 0xbfa], telugu: [0xc00, 0xc7f], kannada: [0xc80, 0xcf2],
    malayalam: [0xd00, 0xd7f], sinhala: [0xd81, 0xdf4], thai: [0xe01, 0xe5b], lao: [0xe81, 0xedf], tibetan: [0xf00, 0xfda],
    myanmar: [0x1000, 0x109f], georgian: [0x10d0, 0x10ff], hangulJamo: [0x1100, 0x11ff], ethiopic: [0x1200, 0x137c], cherokee: [0x13a0, 0x13fd],
    canadian: [0x1401, 0x167f], ogham: [0x1681, 0x169c], runic: [0x16a0, 0x16f8], tagalog: [0x1700, 0x171f], khmer: [0x1780, 0x17f9],
    mongolian: [0x1800, 0x18aa], hiragana: [0x3041, 0x309f], katakana: [0x30a0, 0x30ff], bopomofo: [0x3105, 0x312f], han: [0x4e00, 0x9fff],
    hanCommon: [0x4e00, 0x5100], hanExtensionA: [0x3400, 0x4dbf], hanExtensionB: [0x20000, 0x2a6df], yi: [0xa000, 0xa48c], hangul: [0xac00, 0xd7a3],
    vai: [0xa500, 0xa62b], javanese: [0xa980, 0xa9df], balinese: [0x1b00, 0x1b7c], gothic: [0x10330, 0x1034a], cuneiform: [0x12000, 0x12399],
    hieroglyphs: [0x13000, 0x1342e], mathLetters: [0x1d400, 0x1d7ff], fullwidth: [0xff01, 0xff5e], braille: [0x2800, 0x28ff], arrows: [0x2190, 0x22ff],
    boxes: [0x2500, 0x259f], currency: [0x20a0, 0x20c0], superscripts: [0x2070, 0x209c], enclosed: [0x2460, 0x24ff],
};
const character = (range) => { // never half a surrogate pair
    const c = range[0] + below(range[1] - range[0] + 1);
    return c >= 0xd800 && c <= 0xdfff ? "?" : String.fromCodePoint(c);
};
const word = (range) => join(1, 9, () => character(range));
const spaces = [" ", " ", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\u00a0", "\u3000", "\u2003", "\u2581", "\u2581\u2581", "\v", "\f", "\u0085", "\u200b", "\ufeff"];
const marks = [".", ",", "!", "?", ";", ":", "-", "—", "…", "(", ")", "[", "]", "«", "»", "“", "”", "'", "’", "。", "、", "؟", "।", "/", "\\", "*", "_", "#", "&"];
const code = [
    "if (x", " == ", " != ", "->", "=>", "::", "&&", "||", "++i", "i++", "for (int i = 0; i < n; i++) {", "}", "};", "return", "def f(self, x):", "import os",
    "#include <stdio.h>", "    ", "        ", "\t", "\t\t\t", "\n", "\n\n", "\n    ", "\n\t\t", "//", "/* ", " */", "'''", '"""', "self.x", "foo_bar", "fooBar", "FOO_BAR", "0x1F", "1e-9",
    "3.14", "[0]", "(x, y)", "{}", "[]", "()", ";", ",", " ", "SELECT * FROM t WHERE a <> 'b';", "fn main() -> Result<(), E>", "x <<= 2", "a >>> 3", "$HOME", "`ls -la`", "```python\n", "\\n", "\\u00e9", "%d%%",
];
const html = [
    "<", ">", "</", "/>", "<p>", "</p>", "<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<div class=\"a\">", "</div>", "<br>", "<br/>", "<b>", "</b>", "<s>", "</s>", "<i>", "<ul>", "<li>", "</li>",
    "<h1>", "</h1>", "<h7>", "<a href='#'>", "</a>", "<img src=x>", "<footer>", "</footer>", "<TD>", "< td>", "<td", "td>", "<<td>>", "&nbsp;", "&lt;", "<!-- -->", " ", "  ", "\n", "x", "text", "> </", ">  </", "> <", "\u2581</",
];
const almost = [
    "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "[multimodal]", "<unused0>", "<unused98>", "<unused99>", "<unused6241>", "<unused6242>",
    "<start_of_", "turn>", "<end_of_turn", "<|im_start|>", "<0x0A>", "<0xFF>", "<0x", "[multi", "modal]", "<unused", "7>", "<", ">", "user\n", "model\n", " ", "\n", "x", "[INST]", "</s>", "<<", "<end_of_turn>>",
];
const emoji = ["🙂", "🦄", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇵🇪", "🇩🇪", "❤️", "☺", "✈️", "🧑🏿‍🚀", "1️⃣", "🫠", "\u{1fae8}", "\u200d", "\ufe0f", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", " ", "!", "lol"];
const strange = [
    "\0", "\x01", "\x07", "\x08", "\x1b[31m", "\x7f", "\x80", "\x9f", "\u200b", "\u200e", "\u202e", "\u2028", "\u2029", "\u2060", "\ufeff", "\ufffd", "\uffff", "\ufdd0", "\ue000", "\u{f0000}", "\u{10ffff}", "\u{e0041}", "\u0378", "a", " ", "\n", "\r", "\r\r\n",
];
const combining = () => join(1, 8, () => character(pick([scripts.latin, scripts.cyrillic, scripts.han])) + join(0, 4, () => character([0x300, 0x36f])));
const numeral = () => pick([() => String(below(10)), () => String(below(1e9)), () => (random() * 1e6).toFixed(below(6)), () => `${below(99)},${below(999)},000`, () => "٣٤٥", () => "１２３", () => "²³", () => `-${below(50)}`, () => `${below(12)}:${below(60)}`, () => `$${below(500)}`, () => `${below(100)}%`])();

function pieceMaker(vocabulary) {
    const learned = (most) => vocabulary[494 + below(most - 494)];
    const spelled = (piece) => (random() < 0.9 ? piece.replaceAll("\u2581", " ") : piece);
    return {
        common: () => learned(8000).replaceAll("\u2581", " "),
        any: () => spelled(pick([() => learned(236743), () => learned(30000), () => vocabulary[236743 + below(255968 - 236743)], () => vocabulary[107 + below(131)]])()),
        overlapping: () => { // a piece that begins as it ends, laid over itself: equal merges compete
            for (;;) {
                const p = learned(236743).replaceAll("\u2581", " "), step = 1 + below(Math.max(1, p.length - 1));
                if (p.isWellFormed() && p.length > step && p.slice(step) === p.slice(0, p.length - step)) return p.slice(0, step).repeat(1 + below(6)) + p;
            }
        },
        cut: () => { const p = Array.from(learned(236743)); return p.slice(below(p.length)).join("").replaceAll("\u2581", " "); },
    };
}

exports.make = (vocabulary) => {
    state = 20250312;
    const texts = [], kinds = {};
    const add = (kind, n, make) => { kinds[kind] = n; for (let i = 0; i < n; i++) texts.push(make(i)); };
    const pieces = pieceMaker(vocabulary);
    for (const range of Object.values(scripts)) times(40, () => texts.push(join(1, 12, () => word(range) + (random() < 0.2 ? pick(marks) : ""), pick([" ", " ", " ", "", "  ", "\n"]))));
    kinds[`${Object.keys(scripts).length} scripts`] = 40 * Object.keys(scripts).length;
    add("mixed scripts", 500, () => join(2, 15, () => word(pick(Object.values(scripts))) + pick(["", "", " ", pick(marks)])));
    add("white space", 500, () => join(1, 12, () => pick([() => pick(spaces), () => pick([" ", "\n", "\t", "\u2581"]).repeat(1 + below(40)), () => pick(["a", "the", "x", ">", "</", "."])])()));
    add("code", 400, () => join(2, 40, () => pick(code)));
    add("html", 400, () => join(2, 30, () => pick(html)));
    add("almost control", 300, () => join(1, 10, () => pick(almost)));
    add("emoji", 300, () => join(1, 12, () => pick(emoji)));
    add("combining marks", 250, combining);
    add("controls", 300, () => join(1, 12, () => pick(strange)));
    add("numbers", 250, () => join(1, 10, numeral, pick([" ", "", ", ", "\n"])));
    add("repeated", 250, () => pick([pieces.common(), pieces.any(), "a", "ha", "=", "-=", "0", "あ", "।", "!?"]).repeat(2 + below(60)));
    add("common pieces", 1200, () => join(2, 40, pieces.common));
    add("any pieces", 1500, () => join(2, 30, pieces.any));
    add("ends of pieces", 800, () => join(2, 20, pieces.cut));
    add("overlapping pieces", 300, pieces.overlapping);
    add("single pieces", 3000, () => vocabulary[below(vocabulary.length)]);
    add("long", 4, (i) => join(3000, 3000, i % 2 ? pieces.common : () => character(scripts.hanCommon)));
    return { texts, kinds: Object.entries(kinds).map(([k, n]) => `${n} ${k}`).join(", ") };
};

// Conversations whose texts have ragged ends. No U+FEFF, U+001C..1F or U+0085 there: JavaScript trims differently from
// Python, whose rules are the template's; tests/unit/text/prompt_test.c has those. No control tokens either: the published
// template would let them through.
exports.conversations = (texts) => {
    state = 42;
    const plain = texts.filter((t) => t.length < 300 && !/[<\[]|[\u001c-\u001f\u0085\ufeff\ufffd]|\p{Cs}/u.test(t));
    const ragged = () => join(0, 3, () => pick([" ", "\n", "\n\n", "\t", "\u00a0", "\u3000"])) + pick(plain) + join(0, 3, () => pick([" ", "\n", "\r\n", "\u2003"]));
    return times(400, () => {
        const system = random() < 0.4 ? [{ role: "system", content: pick([ragged(), "Be brief. ", "\n", ""]) }] : [];
        return [...system, ...times(1 + below(5), (_, i) => ({ role: i % 2 ? "assistant" : "user", content: random() < 0.05 ? "" : ragged() }))];
    });
};
