"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const at = (id) => document.getElementById(id);
let lang = (navigator.language || "en").startsWith("ja") ? "ja" : "en";
if (location.hash === "#ja" || location.hash === "#en") lang = location.hash.slice(1);
const shown = [];
let session = null, heated = true, tested = null, working = Promise.resolve();

const say = (key) => facts.words[lang][key];

async function unpacked(id) {
  const text = atob(at(id).textContent), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Levels as the model takes them: gray is Pillow's luma, in 65536ths.
async function levels(source) {
  const image = await createImageBitmap(source, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(image.width, image.height);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const rgba = pen.getImageData(0, 0, image.width, image.height).data, count = image.width * image.height;
  const data = new Uint8Array(count * facts.channels);
  for (let i = 0; i < count; i++) {
    const r = rgba[4 * i], g = rgba[4 * i + 1], b = rgba[4 * i + 2];
    if (facts.channels === 1) data[i] = (r * 19595 + g * 38470 + b * 7471 + 32768) >> 16;
    else data.set([r, g, b], 3 * i);
  }
  return new ort.Tensor("uint8", data, [1, image.height, image.width, facts.channels]);
}

async function answer(source) {
  const told = await session.run({ image: await levels(source) });
  const p = Array.from(told.probability.data);
  return { p, m: facts.heat && ofDecision(p, told.map.data) };
}

// What each place adds to the log odds of a defect, or of the class that is named: zansa.proof.decide.decision_maps.
function ofDecision(p, maps) {
  const logs = p.map((value) => Math.log(Math.max(value, 1e-300))), best = judged(p).best;
  const ours = facts.classes.map((name, k) => (facts.point ? name !== facts.point.good : k === best));
  const shares = (side) => {
    const top = Math.max(...logs.filter((_, k) => ours[k] === side));
    const powers = logs.map((value, k) => (ours[k] === side ? Math.exp(value - top) : 0));
    return powers.map((value) => value / powers.reduce((a, b) => a + b, 0));
  };
  const plus = shares(true), minus = shares(false), places = maps.length / p.length, found = new Array(places).fill(0);
  for (let k = 0; k < p.length; k++) for (let i = 0; i < places; i++) found[i] += (plus[k] - minus[k]) * maps[k * places + i];
  return found;
}

// A heat map over a picture, as zansa.inputs.heat draws it: linear between the cells, without the letterbox's border.
function heatOver(m, width, height) {
  const { cells: [rows, columns], size: [h, w], strongest, fit, cover, reject, accept } = facts.heat;
  let inner = [h, w];
  if (fit === "letterbox") inner = h * width <= w * height ? [h, Math.max(1, Math.floor((2 * width * h + height) / (2 * height)))] : [Math.max(1, Math.floor((2 * height * w + width) / (2 * width))), w];
  const top = (h - inner[0]) >> 1, left = (w - inner[1]) >> 1;
  const canvas = element("canvas"), pen = canvas.getContext("2d");
  [canvas.height, canvas.width] = inner;
  const image = pen.createImageData(inner[1], inner[0]);
  const between = (at, count, whole) => {
    const place = Math.min(Math.max(((at + 0.5) * count) / whole - 0.5, 0), count - 1), low = Math.floor(place);
    return [low, Math.min(low + 1, count - 1), place - low];
  };
  for (let y = 0; y < inner[0]; y++) {
    const [y0, y1, v] = between(y + top, rows, h);
    for (let x = 0; x < inner[1]; x++) {
      const [x0, x1, u] = between(x + left, columns, w);
      const value = (1 - v) * ((1 - u) * m[y0 * columns + x0] + u * m[y0 * columns + x1]) + v * ((1 - u) * m[y1 * columns + x0] + u * m[y1 * columns + x1]);
      const strength = Math.min(Math.max(value / strongest, -1), 1);
      image.data.set([...(strength > 0 ? reject : accept), 255 * cover * Math.abs(strength)], 4 * (y * inner[1] + x));
    }
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

function judged(p) {
  const score = facts.point && 1 - p[facts.classes.indexOf(facts.point.good)];
  const named = p.map((value, k) => (facts.shift ? Math.log(Math.max(value, 1e-300)) - facts.shift[k] : value));
  const best = named.indexOf(Math.max(...named));
  if (!facts.point) return { best, score: null, verdict: null };
  const odds = Math.log(Math.max(score, 1e-300)) - Math.log(Math.max(1 - score, 1e-300));
  const [ask, reject] = facts.point.odds || [facts.point.ask ?? facts.point.threshold, facts.point.threshold];
  const value = facts.point.odds ? odds : score;
  return { best, score, verdict: value >= reject ? "reject" : value >= ask ? "ask" : "accept" };
}

const SYMBOLS = { accept: "✓", reject: "✕", ask: "?" };

function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawn(item) {
  const box = element("article", "answer"), picture = element("img"), right = element("div"), left = element("div", "seen");
  picture.src = item.url;
  picture.alt = item.name;
  left.append(picture);
  if (heated && item.m) picture.decode().then(() => left.append(heatOver(item.m, picture.naturalWidth, picture.naturalHeight))).catch(() => {});
  if (item.error) {
    right.append(element("p", "verdict ask", say("unread")), element("p", "name", item.name));
  } else {
    const told = judged(item.p), verdict = told.verdict;
    right.append(element("p", "verdict " + (verdict || ""), verdict ? SYMBOLS[verdict] + " " + say(verdict) : facts.classes[told.best]));
    const line = facts.point ? ` · ${say("score")} ${told.score.toFixed(3)} · ${say("line")} ${facts.point.threshold.toFixed(3)}` : "";
    right.append(element("p", "name", item.name + " · " + facts.classes[told.best] + line));
    facts.classes.forEach((name, k) => {
      const row = element("div", "bar"), bar = element("i");
      bar.style.width = (100 * item.p[k]).toFixed(1) + "%";
      const rail = element("span");
      rail.append(bar);
      row.append(element("span", "", name), rail, element("span", "", (100 * item.p[k]).toFixed(1) + " %"));
      right.append(row);
    });
  }
  const frame = element("div");
  frame.append(left);
  box.append(frame, right);
  return box;
}

function show() {
  document.documentElement.lang = lang;
  document.title = say("title");
  at("lang").textContent = lang === "en" ? "日本語" : "English";
  document.querySelectorAll("[data-say]").forEach((each) => (each.textContent = say(each.dataset.say)));
  at("test").className = tested ? (tested.passed ? "passed" : "failed") : "";
  at("test").textContent = tested
    ? `${say(tested.passed ? "passed" : "failed")} (${facts.golden.length} ${say("golden")}, ${say("largest")} ${tested.largest.toExponential(1)})`
    : say("testing");
  at("heat").hidden = at("scale").hidden = !facts.heat;
  at("heat").setAttribute("aria-pressed", heated);
  at("against").textContent = say(facts.point ? "against_defect" : "against_class");
  at("for").textContent = say(facts.point ? "for_defect" : "for_class");
  const none = at("none");
  none.hidden = shown.length > 0;
  at("answers").replaceChildren(none, ...shown.map(drawn));
}

function classify(source, name) {
  working = working.then(async () => {
    const item = { name, url: URL.createObjectURL(source) };
    try {
      Object.assign(item, await answer(source));
    } catch (error) {
      item.error = String(error);
    }
    shown.unshift(item);
    shown.splice(50).forEach((old) => URL.revokeObjectURL(old.url));
    show();
    return item;
  });
  return working;
}

async function selfTest() {
  let largest = 0;
  for (const { png, p, m } of facts.golden) {
    const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
    const told = await answer(new Blob([bytes], { type: "image/png" }));
    told.p.forEach((value, k) => (largest = Math.max(largest, Math.abs(value - p[k]) || 0)));
    if (m) told.m.forEach((value, k) => (largest = Math.max(largest, Math.abs(value - m[k]) / Math.max(facts.heat.strongest, 1) || 0)));
  }
  return { largest, passed: facts.golden.length > 0 && largest <= facts.within };
}

async function begin() {
  show();
  try {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = (await unpacked("wasm")).buffer;
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([await unpacked("module")], { type: "text/javascript" })) };
    session = await ort.InferenceSession.create(await unpacked("model"), { executionProviders: ["wasm"] });
    tested = await selfTest();
  } catch (error) {
    tested = { largest: NaN, passed: false, error: String(error) };
  }
  at("files").disabled = !tested.passed;
  show();
}

at("heat").onclick = () => { heated = !heated; show(); };
at("lang").onclick = () => { lang = lang === "en" ? "ja" : "en"; show(); };
at("files").onchange = (event) => { for (const file of event.target.files) classify(file, file.name); event.target.value = ""; };
for (const kind of ["dragover", "dragleave", "drop"])
  document.addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.toggle("over", kind === "dragover"); });
document.addEventListener("drop", (event) => { if (tested && tested.passed) for (const file of event.dataTransfer.files) classify(file, file.name); });
at("camera").onclick = async () => {
  try {
    at("live").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    await at("live").play();
    at("live").hidden = at("take").hidden = false;
  } catch (error) {
    at("camera").textContent = String(error.message || error);
  }
};
at("take").onclick = async () => {
  if (!tested || !tested.passed) return;
  const canvas = new OffscreenCanvas(at("live").videoWidth, at("live").videoHeight);
  canvas.getContext("2d").drawImage(at("live"), 0, 0);
  classify(await canvas.convertToBlob({ type: "image/png" }), new Date().toLocaleString(lang));
};
const ready = begin();
