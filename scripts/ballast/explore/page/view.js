// Draw the page. Texts become text nodes, never markup.
const byId = (id) => document.getElementById(id);
let shown = [];
// Draw the rows that fill a window at once, the others in the next frame.
const AT_ONCE = 15;
let waiting = [];

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function choose(select, options, value) {
  select.replaceChildren(...options.map(([key, label]) => element("option", { value: key, textContent: label })));
  select.value = value;
}

// Return a text with the search marked in it.
function marked(text) {
  if (!sought) return [text];
  const parts = [];
  const folded = text.toLowerCase();
  // If folding changes the length, positions differ, so nothing is marked.
  let from = 0;
  for (let at = folded.length === text.length ? folded.indexOf(sought) : -1; at >= 0; at = folded.indexOf(sought, from)) {
    parts.push(text.slice(from, at), element("mark", { textContent: text.slice(at, at + sought.length) }));
    from = at + sought.length;
  }
  return [...parts, text.slice(from)];
}

function spelled(place) {
  if (!isText(place)) return element("p", { className: "absent", textContent: absent(place) });
  const text = data.texts[place];
  return text ? element("p", { className: "text" }, ...marked(text)) : element("p", { className: "absent", textContent: "(empty)" });
}

function badge(metric, score) {
  if (typeof score !== "number") return element("span", { className: "badge unread", textContent: `? ${score}`, title: `${metric.judge}: no score` });
  const number = score.toFixed(metric.scale ? 2 : 0);
  const about = { title: `${metric.label} by ${metric.judge}: ${score}` };
  if (metric.at === undefined) return element("span", { ...about, className: "badge number", textContent: `${metric.label.toLowerCase()} ${number}` });
  const flagged = score >= metric.at;
  const word = flagged ? metric.flagged : metric.passed;
  const text = `${flagged ? "▲" : "●"} ${word}${metric.scale ? ` ${number}` : ""}`;
  return element("span", { ...about, className: `badge ${flagged ? "flagged" : "passed"}`, textContent: text });
}

function percent(count, total) {
  return total ? `${((100 * count) / total).toFixed(1)} %` : "—";
}

function summed(run) {
  return summary(run, shown).map(([metric, count]) => {
    const line = element("div", { className: "sum" });
    const mean = count.read ? (count.sum / count.read).toFixed(2) : "—";
    if (metric.at === undefined) {
      line.append(`${metric.label.toLowerCase()} ${mean}, mean of ${count.read}`);
    } else {
      const bar = element("span", { className: "share" }, element("i", {}));
      bar.firstChild.style.width = count.read ? `${(100 * count.flagged) / count.read}%` : "0";
      line.append(bar, element("b", { textContent: `${metric.flagged} ${percent(count.flagged, count.read)}` }));
      line.append(` ${count.flagged} of ${count.read}${metric.scale ? `, mean ${mean}` : ""}`);
    }
    if (count.unread) line.append(` · ${count.unread} not read`);
    return line;
  });
}

function columnLabel(run) {
  return run.n ? `${run.sampler.label}, n ${run.n}, trial ${run.trial}` : `${run.sampler.label}, trial ${run.trial}`;
}

// A column's head: its run, picked by sampler, n and trial.
function head(column) {
  const run = data.runs[state.columns[column]];
  const runs = data.views[state.view].runs.map((place) => data.runs[place]);
  const distinct = (key, among) => [...new Set(among.map(key))].map((value) => [String(value), String(value)]);
  const same = runs.filter((one) => one.sampler === run.sampler);
  const sampler = element("select", { className: "sampler" });
  const size = element("select", { className: "n" });
  const trial = element("select", { className: "trial" });
  const known = new Set(runs.map((one) => one.sampler));
  choose(sampler, data.samplers.filter((one) => known.has(one)).map((one) => [one.name, one.label]), run.sampler.name);
  choose(size, distinct((one) => one.n, same), String(run.n));
  choose(trial, distinct((one) => one.trial, same.filter((one) => one.n === run.n)), String(run.trial));
  for (const select of [sampler, size, trial]) select.dataset.column = column;
  const marker = element("span", { className: run.sampler.square ? "marker square" : "marker" });
  const remove = element("button", { type: "button", className: "remove", textContent: "×", title: "Remove this column" });
  remove.dataset.column = column;
  remove.setAttribute("aria-label", `Remove column ${column + 1}`);
  remove.disabled = state.columns.length === 1;
  const title = element("div", { className: "title" }, marker, element("label", { title: "Sampler" }, sampler), remove);
  const pick = element(
    "div",
    { className: "pick" },
    element("label", { hidden: !run.n }, "n ", size),
    element("label", {}, "trial ", trial),
  );
  const path = element("div", { className: "path", textContent: `runs/${run.path}` });
  const cell = element("th", { scope: "col", className: "column" }, title, pick, element("div", { className: "sums" }), path);
  // Black in the figures is the text colour here, so that it shows on a dark page.
  if (run.sampler.hue !== "#000000") cell.style.setProperty("--hue", run.sampler.hue);
  return cell;
}

function row(prompt) {
  const category = data.category[prompt];
  const about = element(
    "div",
    { className: "about" },
    element("code", { className: "id" }, ...marked(data.ids[prompt])),
    state.benchmark < 0 ? element("span", { textContent: data.benchmarks[benchmarkOf[prompt]].name }) : null,
    category === null ? null : element("span", { className: "category" }, ...marked(data.categories[category])),
  );
  const made = element("tr", { tabIndex: -1 }, element("th", { scope: "row" }, about, spelled(data.prompts[prompt])));
  made.dataset.prompt = prompt;
  for (const place of state.columns) {
    const run = data.runs[place];
    const badges = element("div", { className: "badges" });
    for (const metric of data.benchmarks[benchmarkOf[prompt]].metrics) {
      const score = scoreOf(place, prompt, metric);
      if (score !== null) badges.append(badge(metric, score));
    }
    if (isCut(place, prompt)) badges.append(element("span", { className: "cut", textContent: "cut at the length limit" }));
    const cell = element("td", {}, badges, spelled(responseOf(place, prompt)));
    cell.dataset.label = columnLabel(run);
    if (run.sampler.hue !== "#000000") cell.style.setProperty("--hue", run.sampler.hue);
    made.append(cell);
  }
  return made;
}

function showControls() {
  choose(byId("view"), data.views.map((view, place) => [place, view.pool === "-" ? data.models[view.model] : `${data.models[view.model]} · ${view.pool}`]), state.view);
  choose(byId("benchmark"), [...data.benchmarks.map((one, place) => [place, `${one.name} (${one.prompts.toLocaleString("en")})`]), [-1, "all"]], state.benchmark);
  choose(byId("category"), [[-1, "all"], ...data.categories.map((title, place) => [place, title])], state.category);
  choose(byId("verdict"), Object.entries(VERDICTS), state.verdict);
  choose(byId("order"), Object.entries(ORDERS), state.order);
  choose(byId("size"), SIZES.map((size) => [size, size]), state.size);
  byId("search").value = state.search;
}

function showColumns() {
  const add = element("button", { type: "button", id: "add", textContent: "Add a column" });
  const prompts = element("th", { scope: "col", className: "prompts" }, element("div", { textContent: "Prompt" }), add);
  byId("columns").replaceChildren(prompts, ...state.columns.map((_, column) => head(column)));
}

function showRows(prompts) {
  byId("rows").replaceChildren(...prompts.slice(0, AT_ONCE).map(row));
  const rest = (waiting = prompts.slice(AT_ONCE));
  // Skip the rest if the reader typed on.
  requestAnimationFrame(() => setTimeout(() => rest === waiting && showRest()));
}

function showRest() {
  byId("rows").append(...waiting.map(row));
  waiting = [];
}

// Redraw all that follows from the state, except the controls.
function show() {
  shown = select();
  const pages = Math.max(Math.ceil(shown.length / state.size), 1);
  state.page = Math.min(state.page, pages - 1);
  const from = state.page * state.size;
  showRows(shown.slice(from, from + state.size));
  [...document.querySelectorAll(".column .sums")].forEach((place, column) => place.replaceChildren(...summed(state.columns[column])));
  const total = state.benchmark < 0 ? data.ids.length : data.benchmarks[state.benchmark].prompts;
  byId("count").textContent = `${shown.length.toLocaleString("en")} of ${total.toLocaleString("en")} prompts`;
  byId("page").textContent = `page ${state.page + 1} of ${pages}`;
  byId("previous").disabled = state.page === 0;
  byId("next").disabled = state.page === pages - 1;
  byId("none").hidden = shown.length > 0;
  byId("state").textContent = described();
  const hash = toHash();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

// Return the filters in words, for printing.
function described() {
  const said = [`benchmark ${state.benchmark < 0 ? "all" : data.benchmarks[state.benchmark].name}`];
  if (state.category >= 0) said.push(`category ${data.categories[state.category]}`);
  if (state.verdict !== "all") said.push(VERDICTS[state.verdict]);
  if (state.search) said.push(`holding “${state.search}”`);
  return `${data.models[data.views[state.view].model]}, ${said.join(", ")}: ${byId("count").textContent}, ${byId("page").textContent}`;
}
