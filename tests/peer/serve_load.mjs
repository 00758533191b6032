// tests/peer/serve_load.mjs — a load from outside, on the openai package, for any server of that interface; writes what `vllm bench serve` does.
//
//   node serve_load.mjs --url http://127.0.0.1:8321/v1 [--key K] [options]      (tests/peer/serve_clients_test.py fetches the package)
//
//   --requests N (32)   --clients N (8) at once      --rate R   requests a second, as a Poisson process; without it as many as clients can take
//   --input A-B (32-256) words of a prompt           --output A-B (32-64) tokens of an answer, which no end of turn cuts short
//   --prefix S (0)      part of the words, 0 to 1, that all prompts begin with
//   --picture FILE --pictures S   this picture in a part S of the requests
//   --seed N (1)        same numbers, same requests  --out FILE  the result; standard output without it
import { readFileSync, writeFileSync } from "node:fs";
import OpenAI from "openai";

const o = { url: "http://127.0.0.1:8321/v1", key: "none", requests: 32, clients: 8, rate: 0, input: "32-256", output: "32-64", prefix: 0, pictures: 0, seed: 1 };
for (let i = 2; i < process.argv.length; i += 2) o[process.argv[i].replace(/^--/, "")] = process.argv[i + 1];
for (const n of ["requests", "clients", "rate", "prefix", "pictures", "seed"]) o[n] = Number(o[n]);

let state = BigInt(o.seed) + 0x9e3779b97f4a7c15n;
function draw() { // splitmix64, so that a seed means the same everywhere
  state = (state + 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn;
  let z = state;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & 0xffffffffffffffffn;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & 0xffffffffffffffffn;
  return Number((z ^ (z >> 31n)) >> 11n) / 2 ** 53;
}

const between = (text) => {
  const [low, high] = text.split("-").map(Number);
  return low + Math.floor(draw() * ((high ?? low) - low + 1));
};
const words = "sea river stone house light paper green winter seven open letter garden music table early silver road under morning glass".split(" ");
const some = (n) => Array.from({ length: n }, () => words[Math.floor(draw() * words.length)]).join(" ");
const shared = some(4096).split(" ");

function request() {
  const n = between(o.input), common = Math.round(n * o.prefix);
  const text = shared.slice(0, common).join(" ") + " " + some(n - common);
  const content = [{ type: "text", text }];
  if (o.picture && draw() < o.pictures) content.unshift({ type: "image_url", image_url: { url: "data:image/png;base64," + readFileSync(o.picture).toString("base64") } });
  return { messages: [{ role: "user", content: content.length > 1 ? content : text }], max_tokens: between(o.output), seed: Math.floor(draw() * 2 ** 31),
           ignore_eos: true, temperature: 0, stream: true, stream_options: { include_usage: true } };
}

const client = new OpenAI({ baseURL: o.url, apiKey: o.key, maxRetries: 0 });
const model = o.model ?? (await client.models.list()).data[0].id;
const all = Array.from({ length: o.requests }, request);
const done = { ttft: [], tpot: [], itl: [], e2el: [], input: 0, output: 0, completed: 0, failed: 0, errors: {} };

async function ask(body) {
  const began = performance.now();
  let first = 0, last = 0, usage = null;
  try {
    for await (const chunk of await client.chat.completions.create({ model, ...body })) {
      usage = chunk.usage ?? usage;
      if (!chunk.choices.length) continue;
      const now = performance.now();
      if (first) done.itl.push(now - last);
      first = first || now;
      last = now;
    }
    done.ttft.push(first - began);
    done.e2el.push(last - began);
    if (usage.completion_tokens > 1) done.tpot.push((last - first) / (usage.completion_tokens - 1));
    done.input += usage.prompt_tokens;
    done.output += usage.completion_tokens;
    done.completed++;
  } catch (e) {
    done.failed++;
    const name = e.status ? e.status + " " + e.code : String(e.message);
    done.errors[name] = (done.errors[name] ?? 0) + 1;
  }
}

const began = performance.now();
let at = 0, next = 0;
const due = all.map(() => (o.rate ? (next += -Math.log(1 - draw()) / o.rate) : 0)); // seconds from the beginning
await Promise.all(Array.from({ length: Math.min(o.clients, all.length) }, async () => {
  while (at < all.length) {
    const i = at++, wait = due[i] * 1000 - (performance.now() - began);
    if (wait > 0) await new Promise((r) => setTimeout(r, wait));
    await ask(all[i]);
  }
}));
const duration = (performance.now() - began) / 1000;

function spread(name, list) {
  list.sort((a, b) => a - b);
  const mean = list.reduce((a, b) => a + b, 0) / (list.length || 1), rank = (p) => list[Math.min(list.length - 1, Math.ceil(list.length * p) - 1)] ?? 0;
  const std = Math.sqrt(list.reduce((a, b) => a + (b - mean) ** 2, 0) / (list.length || 1));
  return { [`mean_${name}_ms`]: mean, [`median_${name}_ms`]: rank(0.5), [`std_${name}_ms`]: std, [`p99_${name}_ms`]: rank(0.99) };
}

const result = {
  date: new Date().toISOString(), endpoint_type: "openai-chat", backend: "openai-chat", model_id: model, num_prompts: o.requests, request_rate: o.rate || "inf",
  max_concurrency: o.clients, duration, completed: done.completed, failed: done.failed, total_input_tokens: done.input, total_output_tokens: done.output,
  request_throughput: done.completed / duration, output_throughput: done.output / duration, total_token_throughput: (done.input + done.output) / duration,
  ...spread("ttft", done.ttft), ...spread("tpot", done.tpot), ...spread("itl", done.itl), ...spread("e2el", done.e2el), errors: done.errors,
};
const text = JSON.stringify(result, null, 1) + "\n";
if (o.out) writeFileSync(o.out, text);
else process.stdout.write(text);
process.exit(done.failed ? 1 : 0);
