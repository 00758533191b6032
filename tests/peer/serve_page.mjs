// tests/peer/serve_page.mjs — the server's page in a browser: node serve_page.mjs http://127.0.0.1:PORT PICTURE BROWSER [FOLDER]
//
// FOLDER: where pictures of the page go, for docs/.
import puppeteer from "puppeteer-core";

const [base, picture, browser, folder] = process.argv.slice(2);
const b = await puppeteer.launch({ executablePath: browser, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
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

const p = await b.newPage(), wrong = [];
p.on("pageerror", (e) => wrong.push(e.message));
await p.setViewport({ width: 1200, height: 760 });
await p.goto(base + "/");
const shot = (name) => folder && p.screenshot({ path: folder + "/" + name });
const answers = (n) => p.waitForFunction((n) => document.querySelectorAll(".turn.model .how").length === n, { timeout: 20000 }, n);
const last = () => p.evaluate(() => [...document.querySelectorAll(".turn")].pop().textContent);

await claim("the_page_chats_and_shows_the_pipeline", async () => {
  await p.waitForSelector(".stage");
  await p.type("#text", "What is the capital of Peru?");
  await p.keyboard.press("Enter");
  await answers(1);
  need((await last()).startsWith("The capital of Peru is Lima."), await last());
  await p.waitForFunction(() => /tokens made[1-9]/.test(document.getElementById("numbers").textContent), { timeout: 10000 });
  need((await p.$$(".stage")).length === 3, "not three stages");
});

await claim("the_page_shows_pictures_and_keeps_the_conversation", async () => {
  await (await p.$("#file")).uploadFile(picture);
  await p.waitForSelector("#shown img");
  await p.type("#text", "Describe the picture.");
  await p.click("#send");
  await answers(2);
  need((await last()).includes("triangle"), await last());
  if (!folder) return;
  const others = new AbortController(), body = JSON.stringify({ messages: [{ role: "user", content: "Count from 1 to 30." }], n: 6, ignore_eos: true, max_tokens: 4000, stream: true });
  fetch(base + "/v1/chat/completions", { method: "POST", body, signal: others.signal }).then((r) => r.text()).catch(() => {}); // so that the pipeline is seen at work
  await p.waitForFunction(() => document.querySelectorAll(".stage").length === 3 && ![...document.querySelectorAll(".stage")].some((s) => /(?<!\d)0 % busy/.test(s.textContent)), { timeout: 20000 });
  await shot("serve-light.png");
  await p.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await shot("serve-dark.png");
  others.abort();
});

await claim("the_page_stops_an_answer_and_asks_again", async () => {
  await p.evaluate(() => { saved.most = "1900"; });
  await p.evaluate(() => { const real = fetch; window.fetch = (u, o) => real(u, o && o.body ? { ...o, body: JSON.stringify({ ...JSON.parse(o.body), logit_bias: { 272: 100 } }) } : o); });
  await p.type("#text", "Go on.");
  await p.keyboard.press("Enter");
  await p.waitForFunction(() => /thethe|the the/.test([...document.querySelectorAll(".turn")].pop().textContent), { timeout: 10000 });
  await p.keyboard.press("Escape");
  await p.waitForFunction(() => /stopped/.test([...document.querySelectorAll(".turn")].pop().textContent), { timeout: 10000 });
  need(await p.evaluate(() => document.getElementById("send").textContent === "Send"), "it is still running");
});

await claim("the_page_makes_nothing_of_what_a_model_says_but_text", async () => {
  const text = "# Head\n<img src=x onerror=alert(1)> **bold** `a<b`\n\n- one\n- two\n\n```\n<script>x</script>\n```";
  const made = await p.evaluate((t) => { const d = document.createElement("div"); d.append(markdown(t)); return d.innerHTML; }, text);
  need(made === "<h3>Head</h3><p>&lt;img src=x onerror=alert(1)&gt; <strong>bold</strong> <code>a&lt;b</code></p><ul><li>one</li><li>two</li></ul><pre><code>&lt;script&gt;x&lt;/script&gt;\n</code></pre>", made);
  need(!wrong.length, wrong);
});

await claim("the_page_fits_a_phone", async () => {
  await p.setViewport({ width: 390, height: 800 });
  need(await p.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it is wider than the screen");
  await shot("serve-phone.png");
});

await b.close();
process.exit(failed ? 1 : 0);
