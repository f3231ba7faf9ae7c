// The page. Everything that arrived is a stranger's: it becomes text nodes, never markup.

import { List } from "./list.js";

const $ = (id) => document.getElementById(id);
const rows = new Map(); // "trace/span" → row
let open = { trace: "", span: "" };
let wantsDraw = false;

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function counted(count, noun) {
  return count === 1 ? `${count} ${noun}` : `${count} ${noun}s`;
}

function duration(ms) {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 100 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(1)} ms`;
}

function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

function time(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "?" : date.toLocaleTimeString([], { hour12: false }) +
    "." + String(date.getMilliseconds()).padStart(3, "0");
}

// The list of invocations

const list = new List($("rows"), (row, item) => {
  row.append(
    element("span", "", time(item.start_ms)),
    element("span", "", item.function),
    element("span", item.failed ? "fate failed" : "fate", item.fate),
    element("span", "number", duration(item.duration_ms)),
    element("span", "", item.cold ? "cold" : ""),
    element("span", "number", size(item.size)),
    element("span", "", item.error || (item.name === item.function ? item.request : item.name)),
  );
}, (item) => show(item.trace, item.span, true));

// Words must all be there; fate:, function:, slower: (ms), cold and failed narrow further.
function matcher(text) {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const [key, value] = word.split(/:(.*)/s);
    if (key === "fate" && value) return (row) => row.fate.startsWith(value);
    if (key === "function" && value) return (row) => row.function.toLowerCase().includes(value);
    if (key === "slower" && value) return (row) => row.duration_ms > Number(value);
    if (word === "cold") return (row) => row.cold;
    if (word === "failed") return (row) => row.failed;
    return (row) => `${row.name} ${row.function} ${row.fate} ${row.error} ${row.request} ${row.trace}`
      .toLowerCase().includes(word);
  });
  return (row) => tests.every((test) => test(row));
}

function draw() {
  wantsDraw = false;
  const found = [...rows.values()].filter(matcher($("filter").value));
  found.sort((a, b) => b.start_ms - a.start_ms);
  // What was chosen stays chosen, wherever it is now.
  const chosen = list.items[list.chosen] ?? open;
  list.set(found, found.findIndex((row) => row.trace === chosen.trace && row.span === chosen.span));
  $("empty").hidden = rows.size > 0;
  const all = counted(rows.size, "invocation");
  const shown = found.length === rows.size ? all : `${found.length} of ${all}`;
  $("counts").textContent = `${shown}, ${counted(spans, "span")}` +
    (forgotten ? `, ${forgotten} forgotten` : "");
}

function drawSoon() {
  if (wantsDraw) return;
  wantsDraw = true;
  requestAnimationFrame(draw);
}

let spans = 0;
let forgotten = 0;
const ledgers = new Map();

const changes = new EventSource("changes");
changes.onmessage = (message) => {
  const told = JSON.parse(message.data);
  if (told.anew) { rows.clear(); ledgers.clear(); }
  for (const row of told.rows) rows.set(`${row.trace}/${row.span}`, row);
  for (const one of told.ledgers) ledgers.set(one.instance, one.counts);
  spans = told.spans;
  forgotten = told.forgotten;
  drawSoon();
  drawLedger();
  if (open.trace && told.rows.some((row) => row.trace === open.trace)) load();
};
changes.onopen = () => document.body.classList.remove("away");
changes.onerror = () => document.body.classList.add("away");

function drawLedger() {
  $("ledger").textContent = [...ledgers].map(([instance, counts]) => `ledger of ${instance}: ` +
    Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ")).join(" · ");
}

// One trace

let range = { start: 0, length: 1 };

const waterfall = new List($("waterfall"), (row, span) => {
  const name = element("span", "name", span.name);
  name.style.paddingLeft = `${Math.min(span.depth, 20) * 14}px`;
  const bar = element("i", span.failed ? "failed" : "");
  bar.style.left = `${100 * (span.start_ms - range.start) / range.length}%`;
  bar.style.width = `${100 * span.duration_ms / range.length}%`;
  row.append(name, element("span", "function", span.function), element("span", "track", bar),
    element("span", "number", duration(span.duration_ms)));
}, (span) => { open.span = span.span; setHash(); detail(span); });
waterfall.follows = true;

function setHash() {
  history.replaceState(null, "", open.trace ? `#trace=${open.trace}&span=${open.span}` : "#");
}

async function show(trace, span, focuses) {
  open = { trace, span };
  setHash();
  $("trace").hidden = false;
  $("link").textContent = `trace ${trace}`;
  $("link").href = `#trace=${trace}`;
  await load();
  if (focuses) $("waterfall").focus();
  drawSoon();
}

async function load() {
  const wanted = open.trace;
  const answer = await fetch(`traces/${encodeURIComponent(wanted)}`);
  const found = await answer.json();
  if (wanted !== open.trace) return;
  let start = Infinity, end = -Infinity;
  for (const span of found) {
    start = Math.min(start, span.start_ms);
    end = Math.max(end, span.start_ms + span.duration_ms);
  }
  range = { start, length: Math.max(end - start, 0.001) };
  $("span-count").textContent = found.length ? `${counted(found.length, "span")}, ${duration(range.length)}`
    : "this trace is not here (any more)";
  const chosen = Math.max(0, found.findIndex((span) => span.span === open.span));
  waterfall.set(found, found.length ? chosen : -1);
  if (found.length) { waterfall.choose(chosen, false); detail(found[chosen]); }
  else $("detail").replaceChildren();
}

function close() {
  open = { trace: "", span: "" };
  setHash();
  $("trace").hidden = true;
  drawSoon();
  $("rows").focus();
}

// One span

// Redacted parts are marked.
function marked(text) {
  const parts = String(text).split("[REDACTED]");
  return parts.flatMap((part, index) =>
    index ? [element("mark", "", "[REDACTED]"), part] : [part]);
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

function table(pairs) {
  const body = element("table", "");
  for (const [name, value] of Object.entries(pairs).sort()) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    body.append(element("tr", "", element("th", "", name), element("td", "", ...marked(text))));
  }
  return body;
}

function detail(span) {
  const { "spanpipe.result.body": result, "spanpipe.request.body": request, ...others } = span.attributes;
  const parts = [element("h2", span.failed ? "failed" : "", span.name)];
  if (span.message) parts.push(element("p", "failed", ...marked(span.message)));
  const cut = span.attributes["spanpipe.result.truncated"] ? ", cut" : "";
  if (request !== undefined) parts.push(element("h3", "", "request"), element("pre", "", ...marked(pretty(request))));
  if (result !== undefined) parts.push(element("h3", "", `result${cut}`), element("pre", "body", ...marked(pretty(result))));
  for (const event of span.events) {
    const { "exception.stacktrace": stack, ...rest } = event.attributes;
    parts.push(element("h3", "", `${event.name}, after ${duration(event.after_ms)}`), table(rest));
    if (stack !== undefined) parts.push(element("pre", "", ...marked(stack)));
  }
  if (span.links.length) {
    const links = span.links.map((link) => {
      const anchor = element("a", "", `trace ${link.trace}, span ${link.span}`);
      anchor.href = `#trace=${link.trace}&span=${link.span}`;
      return element("li", "", anchor);
    });
    parts.push(element("h3", "", "links"), element("ul", "", ...links));
  }
  parts.push(element("h3", "", "attributes"), table({ "span.kind": span.kind, ...others }),
    element("h3", "", "resource"), table(span.resource));
  $("detail").replaceChildren(...parts);
}

// Keys, theme, links

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem("theme", name); } catch { /* private mode: for this page alone */ }
}

function toggleTheme() {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  setTheme(dark ? "light" : "dark");
}

document.addEventListener("keydown", (event) => {
  const typing = event.target === $("filter");
  if (event.key === "Escape") {
    if (typing) { $("filter").blur(); $("rows").focus(); } else if (open.trace) close();
  } else if (typing) {
    if (event.key === "ArrowDown" || event.key === "Enter") { $("rows").focus(); list.choose(0, false); event.preventDefault(); }
  } else if (event.ctrlKey || event.metaKey || event.altKey) {
    // the browser's
  } else if (event.key === "/") {
    $("filter").focus();
    event.preventDefault();
  } else if (event.key === "t") {
    toggleTheme();
  } else if (event.target === document.body && ["ArrowDown", "ArrowUp", "j", "k"].includes(event.key)) {
    $("rows").focus();
    list.key(event);
  }
});
$("filter").addEventListener("input", drawSoon);
$("theme").addEventListener("click", toggleTheme);
$("close").addEventListener("click", close);

function follow() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const trace = asked.get("trace");
  if (trace && trace !== open.trace) show(trace, asked.get("span") ?? "", false);
  else if (trace && asked.get("span") && asked.get("span") !== open.span) show(trace, asked.get("span"), false);
}
addEventListener("hashchange", follow);
let kept = "";
try { kept = localStorage.getItem("theme") ?? ""; } catch { /* private mode */ }
if (kept === "light" || kept === "dark") setTheme(kept);
draw();
follow();
