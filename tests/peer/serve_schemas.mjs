// tests/peer/serve_schemas.mjs — answers that are held to a schema, judged by a validator of others: node serve_schemas.mjs http://127.0.0.1:PORT
//
// Each schema of what docs/BATCH.md says is understood is asked for as a form, and as the parameters of a call where it is an object; drawn at a
// temperature at which the demo model says anything that it may. An answer that max_tokens cut off is not judged; of each schema one at least must be whole.
import Ajv from "ajv/dist/2020.js";

const base = process.argv[2], ajv = new Ajv({ strict: false, validateFormats: false });
const object = (properties, more = {}) => ({ type: "object", properties, required: Object.keys(properties), additionalProperties: false, ...more });
const text = { type: "string", maxLength: 10 }, whole = { type: "integer" }, truth = { type: "boolean" };

const schemas = {
  text, empty_text: { type: "string", maxLength: 0 }, text_of_one_length: { type: "string", minLength: 5, maxLength: 5 }, whole, number: { type: "number" }, truth, nothing: { type: "null" },
  several_types: { type: ["integer", "boolean", "null"] }, one_of_these: { enum: ["red", "green", "blue"] }, these_of_all_kinds: { enum: [1, "one", null, true, 2.5e3] }, these_of_a_type: { type: ["integer", "null"], enum: [1, "one", null, true, 2.5, 30] },
  escaped_words: { enum: ['a "quote"', "back\\slash", "line\nend", "ü€😀"] }, constant: { const: "always" }, constant_number: { type: "integer", const: -12 },
  list: { type: "array", items: whole, maxItems: 4 }, list_of_two_to_three: { type: "array", items: truth, minItems: 2, maxItems: 3 }, empty_list: { type: "array", maxItems: 0 }, untyped_list: { minItems: 1, maxItems: 2, items: truth },
  pair: { type: "array", prefixItems: [text, truth], items: false, minItems: 2 }, pair_and_more: { type: "array", prefixItems: [truth, { type: "null" }], items: whole, maxItems: 4 },
  lists_of_lists: { type: "array", maxItems: 2, items: { type: "array", maxItems: 2, items: { enum: ["a", "b"] } } },
  object: object({ city: text, people: whole }), nobody: object({}), optional: object({ a: truth, b: truth, c: truth }, { required: ["b"] }),
  all_optional: object({ a: whole, b: whole }, { required: [] }), others_too: { type: "object", properties: { a: truth }, required: ["a"], additionalProperties: truth },
  others_alone: { type: "object", additionalProperties: whole }, anything_inside: object({ kind: { enum: ["x"] }, what: { type: ["null", "boolean"] } }),
  odd_names: object({ "": truth, 'a"b': truth, "ä": truth, "a\\b": truth, $ref: truth }), names_that_begin_alike: object({ a: truth, ab: truth, abc: truth }, { required: ["abc"] }),
  deep: object({ a: object({ b: object({ c: object({ d: object({ e: truth }) }) }) }) }),
  any_of: { anyOf: [object({ kind: { const: "circle" }, r: whole }), object({ kind: { const: "square" }, side: whole })] }, one_of: { oneOf: [whole, text, { type: "null" }] },
  any_of_lists: { anyOf: [{ type: "array", items: whole, maxItems: 2 }, { type: "array", items: { enum: ["x"] }, minItems: 1, maxItems: 2 }] },
  any_of_inside: object({ v: { anyOf: [truth, { type: "array", items: truth, maxItems: 2 }] } }),
  definition: { $defs: { colour: { enum: ["red", "blue"] } }, ...object({ first: { $ref: "#/$defs/colour" }, second: { $ref: "#/$defs/colour" } }) },
  old_definition: { definitions: { n: whole }, type: "array", items: { $ref: "#/definitions/n" }, maxItems: 3 },
  tree: { $defs: { node: object({ v: truth, next: { anyOf: [{ type: "null" }, { $ref: "#/$defs/node" }] } }) }, $ref: "#/$defs/node" },
  itself: object({ v: truth, children: { type: "array", items: { $ref: "#" }, maxItems: 1 } }),
  annotated: { title: "T", description: "d", ...object({ when: { type: "string", format: "date", maxLength: 12, examples: ["2026-01-01"] } }) },
  many_members: object(Object.fromEntries(Array.from({ length: 20 }, (_, i) => ["member_" + i, truth]))),
};

async function ask(body) {
  const messages = [{ role: "user", content: "What is the capital of Peru?" }];
  const r = await fetch(base + "/v1/chat/completions", { method: "POST", body: JSON.stringify({ messages, temperature: 1.5, max_tokens: 300, n: 4, seed: 7, ...body }) });
  const a = await r.json();
  if (!r.ok) throw new Error(JSON.stringify(a));
  return a.choices;
}

let judged = 0, cut = 0;
const wrong = [];
function judge(name, fits, said) {
  let value;
  try {
    value = JSON.parse(said);
  } catch (e) {
    return wrong.push(name + ": no JSON: " + said);
  }
  judged++;
  if (!fits(value)) wrong.push(name + ": " + ajv.errorsText(fits.errors) + ": " + said);
}

async function hold(name, schema) {
  const fits = ajv.compile(schema), before = judged;
  if (fits([[9], [9], [9], [9], [9]])) wrong.push(name + ": it fits anything");
  for (const c of await ask({ response_format: { type: "json_schema", json_schema: { name, strict: true, schema } } })) {
    if (c.finish_reason === "stop") judge(name, fits, c.message.content);
    else cut++;
  }
  if (judged === before) wrong.push(name + ": no answer is whole");
  if (schema.type !== "object") return;
  for (const c of await ask({ tool_choice: "required", tools: [{ type: "function", function: { name, parameters: schema } }] })) {
    if (c.finish_reason === "tool_calls") judge(name + ", called", fits, c.message.tool_calls[0].function.arguments);
    else cut++;
  }
}

await Promise.all(Object.entries(schemas).map(([name, schema]) => hold(name, schema).catch((e) => wrong.push(name + ": " + e))));
for (const line of wrong) console.log("  " + line);
const name = wrong.length ? "FAIL" : "ok";
console.log(`${name} what_a_schema_shaped_fits_it_by_another_validator: ${Object.keys(schemas).length} schemas, ${judged} answers, ${cut} more were cut off`);
process.exit(wrong.length ? 1 : 0);
