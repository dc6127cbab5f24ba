// The operators' page: asks for the state twice a second, shows it, and sends what people say.
"use strict";
const words = JSON.parse(document.getElementById("words").textContent);
const $ = (id) => document.getElementById(id);
const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
const SYMBOLS = { accept: "✓", reject: "✕", ask: "?", class: "•" };
const QUIET = 60, EVERY = 500, TIMEOUT = 1500;
const kind = (decision) => (decision === null ? "class" : decision === "accept" || decision === "reject" ? decision : "ask");
let state = null, shown = null, queue = [], current = null, since = 0, history = [];
let limits = {}, large = -1, marked = false;  // limit samples of each model; the kind that is shown large; whether the part becomes one

async function ask(path, options = {}) {
  const headers = { ...options.headers, "accept-language": document.documentElement.lang };  // of errors and notes
  const answer = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(options.timeout ?? 20000) });
  const told = await answer.json();
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(told.error);
  return told;
}
const send = (path, value) => ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) });

async function look() {
  try {
    state = await ask("/page/state", { timeout: TIMEOUT });
    document.body.classList.remove("lost");
    show();
  } catch (error) {
    document.body.classList.add("lost");
    alarm(say("lost"));
  }
  setTimeout(look, EVERY);
}

function alarm(text) {
  $("alarm").hidden = !text;
  if ($("alarm").textContent !== text) $("alarm").textContent = text;
}

function show() {
  const last = state.strip.at(-1);
  const quiet = last && state.quiet >= QUIET ? say("quiet", { seconds: state.quiet }) : "";
  alarm(state.ready ? say("not_ready", { reason: state.ready }) : "");
  $("model").textContent = state.models.map((m) => `${words.model}: ${m.name}, ${words.version} ${m.version}, ${m.sha.slice(0, 8)}, ${words.line} ${m.line === null ? words.no_line : m.line.toFixed(3)}`).join(" · ");
  document.querySelector("#verdict .quiet").textContent = quiet || (last ? say("since", { seconds: state.quiet }) : "");
  $("shift").textContent = say("shift", { time: state.since });
  const counts = state.counts;
  $("parts").textContent = Object.values(counts).reduce((a, b) => a + b, 0);
  for (const name of ["accept", "reject", "ask"]) $(name).textContent = counts[name] ?? 0;
  for (const name of ["false_alarms", "misses"]) $(name).textContent = state[name];
  $("open").disabled = !state.waiting;
  $("open").classList.toggle("waiting", state.waiting > 0);
  $("open").textContent = state.waiting ? say("open_queue", { count: state.waiting }) : words.queue_empty;
  $("challenge").disabled = !state.golden;
  showRuns();
  if (last && last.id !== shown) { shown = last.id; showPart(last); showStrip(); }
}

function showPart(part) {
  const how = kind(part.decision), tile = $("verdict");
  tile.className = how;
  tile.querySelector(".symbol").textContent = SYMBOLS[how];
  tile.querySelector(".word").textContent = how === "class" ? part.class : words[how];
  const score = part.score === null ? "" : ` · ${words.score} ${part.score.toFixed(3)}`;
  tile.querySelector(".detail").textContent = `${words.class}: ${part.class}${score}`;
  showPicture(part);
  const name = part.part ? `${words.part} ${part.part} · ` : "";
  document.querySelector("#picture figcaption").textContent = `${name}#${part.id} · ${part.local.slice(11, 19)}${part.note ? " · " + part.note : ""}`;
}

// The picture, with its heat map where that is wanted and the model that answered still answers.
const heated = () => localStorage.getItem("heat") !== "off";
function showPicture(part) {
  const image = document.querySelector("#picture img"), model = state.models.find((m) => m.sha === part.sha && m.maps);
  const plain = `/page/image/${part.image}`, [against, , speaks] = $("scale").children;
  image.hidden = false;
  image.alt = part.class;
  image.onerror = () => { image.onerror = null; image.src = plain; };
  image.src = model && heated() ? `/page/map/${part.sha}/${part.image}` : plain;
  $("tools").hidden = !model;
  $("heat").setAttribute("aria-pressed", heated());
  against.textContent = model && model.good === null ? words.against_class : words.against_defect;
  speaks.textContent = model && model.good === null ? words.for_class : words.for_defect;
}
$("heat").onclick = () => {
  localStorage.setItem("heat", heated() ? "off" : "on");
  if (state && state.strip.length) showPicture(state.strip.at(-1));
};

function showStrip() {
  const list = document.querySelector("#strip ol");
  list.replaceChildren(...[...state.strip].reverse().map((part) => {
    const item = document.createElement("li"), button = document.createElement("button"), image = new Image(), mark = document.createElement("b");
    button.className = kind(part.decision);
    button.setAttribute("aria-label", `${SYMBOLS[kind(part.decision)]} ${part.decision === null ? "" : words[kind(part.decision)]} #${part.id} ${part.class}`);
    image.src = `/page/image/${part.image}`;
    image.alt = "";
    mark.textContent = SYMBOLS[kind(part.decision)];
    button.append(image, mark);
    button.onclick = () => review([part]);
    item.append(button);
    return item;
  }));
}

function showRuns() {
  const told = state.runs.map((run) => {
    const item = document.createElement("li");
    const wrong = run.wrong.length ? " – " + say("golden_wrong", { names: run.wrong.join(", ") }) : "";
    item.className = run.passed === run.count ? "" : "bad";
    item.textContent = `${run.passed === run.count ? "✓" : "✕"} ${run.time} ${say("golden_passed", run)} (${run.model} ${run.version}, ${run.sha.slice(0, 8)})${wrong}`;
    return item;
  });
  if (!state.golden || !state.runs.some((run) => run.current)) {
    const item = document.createElement("li");
    item.textContent = state.golden ? words.golden_never : words.golden_none;
    told.unshift(item);
  }
  const list = $("runs");
  if (list.textContent !== told.map((item) => item.textContent).join("")) list.replaceChildren(...told);
}

// ---- parts that a person judges: one key a class, undo instead of questions ----

const choices = () => {
  const model = state.models.find((m) => m.name === current.model);
  const classes = (model ? model.classes : []).slice(0, 9).map((name, i) => [String(i + 1), name, name]);
  return [...classes, ["0", "cannot tell", words.cannot_tell], ["u", "unusable", words.unusable], ["n", null, words.new_kind]];
};

async function review(parts) {
  limits = await ask("/page/limits").catch(() => ({}));
  queue = parts; history = []; large = -1;
  if (!$("review").open) $("review").showModal();
  $("review").focus();  // on no button, so that the space bar means one thing
  $("said").textContent = "";
  next();
}

function next() {
  current = queue.shift() ?? null;
  if (!current) return close();
  since = performance.now();
  const image = document.querySelector("#review > img");
  image.src = `/page/image/${current.image}`;
  image.alt = words.what_is_it;
  $("about").textContent = `#${current.id} · ${current.local.slice(0, 19).replace("T", " ")}${current.part ? " · " + words.part + " " + current.part : ""}`;
  $("classes").replaceChildren(...choices().map(([key, verdict, name]) => {
    const button = document.createElement("button"), shownKey = document.createElement("kbd");
    shownKey.textContent = key.toUpperCase();
    button.append(shownKey, name);
    button.onclick = () => judge(verdict, name);
    return button;
  }));
  mark(false);
  showLimits();
}

// What people agree is just acceptable and just a defect, without pictures of the part itself: those tell the answer.
function showLimits() {
  const others = (limits[current.model] ?? []).filter((each) => each.image !== current.image && (!each.part || each.part !== current.part));
  const kinds = [...new Set(others.map((each) => each.kind))];
  if (large >= kinds.length) large = -1;
  const button = document.querySelector("#limits button");
  button.hidden = kinds.length < 2;
  button.setAttribute("aria-pressed", large >= 0);
  $("limits").hidden = !kinds.length;
  $("limits").classList.toggle("large", large >= 0 || kinds.length === 1);
  document.querySelector("#limits ol").replaceChildren(...kinds.filter((_, k) => large < 0 || k === large).map((kind) => {
    const item = document.createElement("li");
    item.append(...["acceptable", "defect"].map((side) => sample(others.find((each) => each.kind === kind && each.side === side), kind, side)));
    return item;
  }));
}

function sample(found, kind, side) {
  const figure = document.createElement("figure"), image = found ? new Image() : document.createElement("p"), caption = document.createElement("figcaption");
  figure.className = side === "acceptable" ? "accept" : "reject";
  caption.textContent = `${SYMBOLS[figure.className]} ${say(side, { kind })}`;
  if (found) { image.src = `/page/image/${found.image}`; image.alt = caption.textContent; }
  else image.textContent = words.no_limit;
  figure.append(image, caption);
  return figure;
}

function mark(on) {
  marked = on;
  document.querySelector('#review [data-key="m"]').setAttribute("aria-pressed", on);
}

function turn() { large += 1; showLimits(); }

async function judge(known, called) {
  const part = current, who = $("who").value, seconds = (performance.now() - since) / 1000;
  const verdict = known ?? window.prompt(words.name_it)?.trim(), name = known ? called : verdict;
  if (!verdict) return;
  try {
    await send("/page/verdict", { answer: part.id, verdict, who, seconds, new: !known, limit: marked });
    history.push(part);
    $("said").textContent = say("model_said", { verdict: name, answer: part.class });
    next();
  } catch (error) { $("said").textContent = say("refused", { reason: error.message }); }
}

async function undo() {
  const part = history.pop();
  if (!part) return;
  try {
    await send("/page/verdict", { answer: part.id, verdict: null, who: $("who").value });
    $("said").textContent = words.undone;
    if (current) queue.unshift(current);
    queue.unshift(part);
    next();
  } catch (error) { $("said").textContent = say("refused", { reason: error.message }); }
}

function close() {
  if (history.length && current === null && $("review").open) { current = history.at(-1); setTimeout(() => { $("review").close(); }, 1200); return; }
  $("review").close();
}

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!$("review").open) {
    if (key === "q" && !$("open").disabled) $("open").click();
    if (key === "h" && !$("tools").hidden) $("heat").click();
    if (key === "g" && !$("challenge").disabled) $("challenge").click();
    return;
  }
  const choice = current && choices().find(([each]) => each === key);
  if (choice) judge(choice[1], choice[2]);
  else if (key === "z") undo();
  else if (key === "m") mark(!marked);
  else if (key === "l" && current && !document.querySelector("#limits button").hidden) turn();
  else if (key === "Escape") $("review").close();
  else if (key === " " && !event.target.matches("button")) { event.preventDefault(); next(); }
});
document.querySelectorAll("#review [data-key]").forEach((button) => {
  button.onclick = () => ({ " ": next, z: undo, l: turn, m: () => mark(!marked), Escape: () => $("review").close() })[button.dataset.key]();
});
$("open").onclick = async () => review(await ask(`/page/queue?who=${encodeURIComponent($("who").value)}`));

// ---- golden images, uploads, camera ----

$("challenge").onclick = async () => {
  $("challenge").disabled = true;
  $("told").textContent = words.golden_running;
  try {
    const runs = await ask("/page/golden", { method: "POST", timeout: 120000 });
    $("told").textContent = runs.map((run) => say("golden_passed", run)).join(" · ");
  } catch (error) { $("told").textContent = error.message; }
};

async function inspect(blob, name) {
  const form = new FormData(), which = $("which") ? "/" + encodeURIComponent($("which").value) : "";
  form.append("file", blob, name);
  form.append("request", name);
  form.append("from", "page");
  try {
    await ask("/predict" + which, { method: "POST", body: form });
    $("told").textContent = "";
  } catch (error) { $("told").textContent = say("refused", { reason: error.message }); }
}

$("files").onchange = async (event) => {
  for (const file of event.target.files) await inspect(file, file.name);
  event.target.value = "";
};

$("camera").onclick = async () => {
  const view = $("view");
  if (!view.srcObject) {
    if (!navigator.mediaDevices) { $("told").textContent = words.no_camera; return; }
    try { view.srcObject = await navigator.mediaDevices.getUserMedia({ video: true }); }
    catch (error) { $("told").textContent = say("camera_failed", { reason: error.message }); return; }
    view.hidden = false;
    await view.play();
    $("camera").textContent = words.take;
    return;
  }
  const canvas = document.createElement("canvas");
  canvas.width = view.videoWidth; canvas.height = view.videoHeight;
  canvas.getContext("2d").drawImage(view, 0, 0);
  canvas.toBlob((blob) => inspect(blob, "camera.png"), "image/png");
};

$("who").value = localStorage.getItem("who") ?? "";
$("who").onchange = () => localStorage.setItem("who", $("who").value);
look();
