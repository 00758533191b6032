// tests/peer/serve_clients.mjs — clients that people use, against our server: node serve_clients.mjs http://127.0.0.1:PORT PICTURE
//
// Each claim is a line. What the clients' own code accepts is the truth here: they parse, check and retry as they do everywhere.
import { readFileSync } from "node:fs";
import OpenAI, { toFile } from "openai";
import { APICallError, generateObject, generateText, jsonSchema, streamObject, streamText, tool } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";

const [base, picture] = process.argv.slice(2);
const url = base + "/v1", model = "demo-q4_0";
const question = { role: "user", content: "What is the capital of Peru?" }, lima = "The capital of Peru is Lima.";
const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
let failed = 0;

function need(truth, what) {
  if (!truth) throw new Error(what);
}

async function claim(name, f) {
  try {
    await f();
    console.log("ok " + name);
  } catch (e) {
    failed++;
    console.log("FAIL " + name + ": " + (e.stack || e));
  }
}

await claim("openai_lists_models_and_chats", async () => {
  const list = [];
  for await (const m of client.models.list()) list.push(m.id);
  need(list.includes(model), "models: " + list);
  const a = await client.chat.completions.create({ model, messages: [question], temperature: 0, logprobs: true, top_logprobs: 2 });
  need(a.choices[0].message.content === lima && a.choices[0].finish_reason === "stop", JSON.stringify(a));
  need(a.choices[0].logprobs.content[0].top_logprobs.length === 2 && a.usage.total_tokens > 0, JSON.stringify(a));
});

await claim("openai_streams", async () => {
  const s = client.chat.completions.stream({ model, messages: [question], temperature: 0, stream_options: { include_usage: true } });
  let said = "";
  s.on("content", (piece) => (said += piece));
  const whole = await s.finalChatCompletion();
  need(said === lima && whole.choices[0].message.content === lima && whole.usage.completion_tokens > 0, JSON.stringify(whole));
});

const image_url = { url: "data:image/png;base64," + readFileSync(picture).toString("base64") };
const shown = [{ type: "image_url", image_url }, { type: "text", text: "Describe the picture." }];
await claim("openai_shows_a_picture", async () => {
  const a = await client.chat.completions.create({ model, messages: [{ role: "user", content: shown }], temperature: 0 });
  need(a.choices[0].message.content.includes("triangle"), JSON.stringify(a));
});

async function nobody_is_answered() {
  const began = Date.now();
  for (;;) {
    const page = await (await fetch(base + "/metrics")).text();
    if (/requests_running\{[^}]*\} 0/.test(page)) break;
    need(Date.now() - began < 60000, "it is still running");
    await new Promise((r) => setTimeout(r, 50));
  }
}

await claim("openai_leaves_a_stream", async () => {
  const s = await client.chat.completions.create({ model, messages: [question], stream: true, n: 16, max_tokens: 1500, logit_bias: { 272: 100 } });
  for await (const chunk of s) if (chunk.choices.length) break;
  await nobody_is_answered();
});

await claim("openai_understands_errors", async () => {
  for (const [body, status, code] of [
    [{ model: "gpt-none", messages: [question] }, 404, "model_not_found"],
    [{ model, messages: [question], temperature: -1 }, 400, "invalid_value"],
    [{ model, messages: [{ role: "user", content: "x ".repeat(100000) }] }, 400, "context_length_exceeded"],
  ]) {
    let e = null;
    await client.chat.completions.create(body).catch((x) => (e = x));
    need(e instanceof OpenAI.APIError && e.status === status && e.code === code, status + ": " + e);
  }
});

await claim("openai_completes_text", async () => {
  const a = await client.completions.create({ model, prompt: "The capital of", max_tokens: 5, temperature: 0 });
  need(a.object === "text_completion" && a.choices[0].text.length > 0, JSON.stringify(a));
});

await claim("openai_parses_what_a_schema_shaped", async () => {
  const schema = { type: "object", properties: { city: { type: "string", maxLength: 20 }, people: { type: "integer" } }, required: ["city", "people"], additionalProperties: false };
  const response_format = { type: "json_schema", json_schema: { name: "answer", strict: true, schema } };
  const a = await client.chat.completions.parse({ model, messages: [question], temperature: 0, max_tokens: 200, response_format });
  const v = JSON.parse(a.choices[0].message.content);
  need(typeof v.city === "string" && Number.isInteger(v.people) && Object.keys(v).length === 2, JSON.stringify(v));
});

await claim("openai_asks_for_a_response", async () => {
  const ask = { model, input: question.content, temperature: 0 };
  const a = await client.responses.create(ask);
  need(a.output_text === lima && a.usage.output_tokens > 0, JSON.stringify(a));
  let said = "", whole = null;
  for await (const e of await client.responses.create({ ...ask, stream: true })) {
    if (e.type === "response.output_text.delta") said += e.delta;
    if (e.type === "response.completed") whole = e.response;
  }
  need(said === lima && whole.output[0].content[0].text === lima, said);
});

const weather = { type: "object", properties: { city: { type: "string", maxLength: 20 } }, required: ["city"], additionalProperties: false };
await claim("openai_is_given_a_call", async () => {
  const ask = { model, messages: [question], temperature: 0, max_tokens: 200, tool_choice: "required", tools: [{ type: "function", function: { name: "weather", parameters: weather } }] };
  const a = await client.chat.completions.create(ask);
  const call = a.choices[0].message.tool_calls[0];
  need(a.choices[0].finish_reason === "tool_calls" && call.function.name === "weather" && typeof JSON.parse(call.function.arguments).city === "string", JSON.stringify(a));
  const s = await client.chat.completions.stream(ask).finalChatCompletion();
  need(s.choices[0].message.tool_calls[0].function.arguments === call.function.arguments, JSON.stringify(s));
  const messages = [question, a.choices[0].message, { role: "tool", tool_call_id: call.id, content: "rain" }];
  need((await client.chat.completions.create({ model, messages, max_tokens: 20 })).choices.length === 1, "the function's answer");
});

await claim("openai_sends_files_and_has_a_batch_answered", async () => {
  const line = (id, messages) => JSON.stringify({ custom_id: id, method: "POST", url: "/v1/chat/completions", body: { messages, temperature: 0 } });
  const lines = line("a", [question]) + "\n" + line("b", []) + "\n";
  const file = await client.files.create({ file: await toFile(Buffer.from(lines), "jobs.jsonl"), purpose: "batch" });
  need(file.filename === "jobs.jsonl" && file.bytes === lines.length && (await client.files.retrieve(file.id)).id === file.id, JSON.stringify(file));
  let b = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
  while (!["completed", "failed", "cancelled"].includes(b.status)) {
    await new Promise((r) => setTimeout(r, 50));
    b = await client.batches.retrieve(b.id);
  }
  need(b.status === "completed" && b.request_counts.completed === 1 && b.request_counts.failed === 1, JSON.stringify(b));
  const answers = (await (await client.files.content(b.output_file_id)).text()).trim().split("\n").map((l) => JSON.parse(l));
  need(answers.length === 1 && answers[0].custom_id === "a" && answers[0].response.body.choices[0].message.content === lima, JSON.stringify(answers));
  need((await (await client.files.content(b.error_file_id)).text()).includes('"custom_id":"b"'), "the error");
  const files = [], batches = [];
  for await (const f of client.files.list({ purpose: "batch", limit: 1 })) files.push(f.id);
  for await (const x of client.batches.list({ limit: 1 })) batches.push(x.id);
  need(files.includes(file.id) && batches.includes(b.id), files + " " + batches);
  const other = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
  await client.batches.cancel(other.id).catch((e) => need(e.status === 400, e)); // it may be over
  need((await client.files.delete(b.output_file_id)).deleted, "it is not deleted");
  const gone = await client.files.retrieve(b.output_file_id).catch((e) => e);
  need(gone instanceof OpenAI.NotFoundError, gone);
});

await claim("openai_answers_the_model_with_what_a_function_says", async () => {
  const asked = [];
  const parse = (text) => asked.push(JSON.parse(text)) && JSON.parse(text);
  const tools = [{ type: "function", function: { name: "weather", parse, function: () => "rain", parameters: weather } }];
  const r = client.chat.completions.runTools({ model, messages: [question], temperature: 0, max_tokens: 200, tools, tool_choice: { type: "function", function: { name: "weather" } } });
  need((await r.finalFunctionToolCallResult()) === "rain" && typeof asked[0].city === "string", JSON.stringify(asked));
});

const compatible = createOpenAICompatible({ name: "gemmapipe", baseURL: url, includeUsage: true, supportsStructuredOutputs: true });
await claim("ai_sdk_generates_and_streams", async () => {
  const a = await generateText({ model: compatible(model), prompt: question.content, temperature: 0 });
  need(a.text === lima && a.finishReason === "stop" && a.usage.inputTokens > 0, JSON.stringify(a.text));
  const s = streamText({ model: compatible(model), prompt: question.content, temperature: 0 });
  let said = "";
  for await (const piece of s.textStream) said += piece;
  need(said === lima && (await s.usage).outputTokens > 0, said);
});

await claim("ai_sdk_is_given_a_call", async () => {
  const tools = { weather: tool({ description: "the weather", inputSchema: jsonSchema(weather) }) };
  const ask = { model: compatible(model), prompt: question.content, temperature: 0, maxOutputTokens: 200, tools, toolChoice: "required" };
  const a = await generateText(ask);
  need(a.toolCalls.length === 1 && typeof a.toolCalls[0].input.city === "string" && a.finishReason === "tool-calls", JSON.stringify(a.toolCalls));
  need((await streamText(ask).toolCalls)[0].input.city === a.toolCalls[0].input.city, "a stream calls otherwise");
});

await claim("ai_sdk_makes_objects", async () => {
  const ask = { model: compatible(model), prompt: question.content, temperature: 0, maxOutputTokens: 200, schema: jsonSchema(weather) };
  const a = await generateObject(ask);
  need(typeof a.object.city === "string" && Object.keys(a.object).length === 1, JSON.stringify(a.object));
  let streamed = null;
  for await (const part of streamObject(ask).partialObjectStream) streamed = part;
  need(streamed.city === a.object.city, "a stream makes another");
});

await claim("ai_sdk_shows_a_picture", async () => {
  const content = [{ type: "image", image: readFileSync(picture) }, { type: "text", text: "Describe the picture." }];
  const a = await generateText({ model: compatible(model), messages: [{ role: "user", content }], temperature: 0 });
  need(a.text.includes("triangle"), a.text);
});

await claim("ai_sdk_understands_errors_and_leaves_a_stream", async () => {
  const e = await generateText({ model: compatible("gpt-none"), prompt: "x", maxRetries: 0 }).catch((x) => x);
  need(APICallError.isInstance(e) && e.statusCode === 404 && !e.isRetryable, e);
  const stop = new AbortController();
  const s = streamText({ model: compatible(model), prompt: question.content, maxOutputTokens: 1900, abortSignal: stop.signal, providerOptions: { gemmapipe: { ignore_eos: true } }, onError: () => {} });
  for await (const piece of s.textStream) {
    stop.abort();
    break;
  }
  await nobody_is_answered();
});

const chain = new ChatOpenAI({ model, apiKey: "none", temperature: 0, maxRetries: 0, configuration: { baseURL: url } });
await claim("langchain_invokes_and_streams", async () => {
  const a = await chain.invoke(question.content);
  need(a.content === lima && a.usage_metadata.total_tokens > 0, JSON.stringify(a));
  let said = "";
  for await (const piece of await chain.stream(question.content)) said += piece.content;
  need(said === lima, said);
});

await claim("langchain_makes_objects_and_calls", async () => {
  const about = { title: "answer", ...weather };
  const a = await chain.withStructuredOutput(about, { method: "jsonSchema", name: "answer" }).invoke(question.content);
  need(typeof a.city === "string" && Object.keys(a).length === 1, JSON.stringify(a));
  const tools = [{ type: "function", function: { name: "weather", description: "the weather", parameters: weather } }];
  const called = await chain.bindTools(tools, { tool_choice: "weather" }).invoke(question.content);
  need(called.tool_calls[0].name === "weather" && typeof called.tool_calls[0].args.city === "string", JSON.stringify(called.tool_calls));
});

await claim("langchain_shows_a_picture", async () => {
  const a = await chain.invoke([{ role: "user", content: shown }]);
  need(a.content.includes("triangle"), a.content);
});

await claim("langchain_understands_errors_and_leaves_a_stream", async () => {
  const other = new ChatOpenAI({ model: "gpt-none", apiKey: "none", maxRetries: 0, configuration: { baseURL: url } });
  const e = await other.invoke("x").catch((x) => x);
  need(e.status === 404, e);
  const stop = new AbortController();
  const long = new ChatOpenAI({ model, apiKey: "none", maxRetries: 0, maxTokens: 1900, modelKwargs: { ignore_eos: true }, configuration: { baseURL: url } });
  const s = await long.stream(question.content, { signal: stop.signal });
  await (async () => {
    for await (const piece of s) stop.abort();
  })().catch(() => {});
  await nobody_is_answered();
});

process.exit(failed ? 1 : 0);
