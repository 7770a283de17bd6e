"use strict";
// The page's state, and the prompts it shows. This file only reads data from the document.
const data = JSON.parse(document.getElementById("data").textContent);
const SIZES = [25, 50, 100, 250];
const VERDICTS = {
  all: "any",
  some: "flagged in any column",
  every: "flagged in every column",
  nowhere: "flagged in no column",
  first: "flagged in the first column",
  last: "flagged in the last column",
  differ: "columns disagree",
  better: "flagged in the first, not in the last",
  worse: "flagged in the last, not in the first",
  unread: "no verdict in some column",
};
const ORDERS = { id: "by id", spread: "largest difference", first: "first column, worst first", last: "last column, worst first" };

// The benchmark of each prompt, and the first prompt of each benchmark.
const benchmarkOf = new Uint16Array(data.ids.length);
let begin = 0;
for (const [place, benchmark] of data.benchmarks.entries()) {
  benchmark.begin = begin;
  begin += benchmark.prompts;
  benchmarkOf.fill(place, benchmark.begin, begin);
  benchmark.metrics = data.metrics.filter((metric) => metric.benchmark === place);
}
for (const run of data.runs) {
  run.parts = new Map(run.parts.map((part) => [part.benchmark, { ...part, cut: new Set(part.cut) }]));
  run.sampler = data.samplers.find((sampler) => sampler.name === run.sampler);
}

const state = {};

function defaults(view) {
  const number = Math.min(Math.max(view || 0, 0), data.views.length - 1);
  const columns = [...data.views[number].columns];
  // Start with a benchmark that was judged: that of the first metric that any column has.
  const judged = data.metrics.find((metric) => columns.some((run) => data.runs[run].parts.has(metric.benchmark)));
  const benchmark = judged ? judged.benchmark : -1;
  return { view: number, benchmark, category: -1, verdict: "all", order: "id", search: "", page: 0, size: 50, columns };
}

function runName(run) {
  return `${run.sampler.name}:${run.n}:${run.trial}`;
}

// Return the state for the address, without defaults.
function toHash() {
  const first = defaults(state.view);
  const view = data.views[state.view];
  const names = (columns) => columns.map((run) => runName(data.runs[run])).join(",");
  const said = {
    model: state.view ? `${view.model}/${view.pool}` : "",
    benchmark: state.benchmark === first.benchmark ? "" : state.benchmark < 0 ? "all" : data.benchmarks[state.benchmark].name,
    category: state.category < 0 ? "" : String(state.category),
    verdict: state.verdict === "all" ? "" : state.verdict,
    order: state.order === "id" ? "" : state.order,
    columns: names(state.columns) === names(first.columns) ? "" : names(state.columns),
    search: state.search,
    page: state.page ? String(state.page + 1) : "",
    size: state.size === first.size ? "" : String(state.size),
  };
  return new URLSearchParams(Object.entries(said).filter((pair) => pair[1])).toString();
}

// Set the state from an address; names that the study does not have keep their default.
function fromHash(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const named = data.views.findIndex((view) => `${view.model}/${view.pool}` === said.get("model"));
  Object.assign(state, defaults(named));
  const view = data.views[state.view];
  const runs = (said.get("columns") || "").split(",").map((name) => view.runs.find((run) => runName(data.runs[run]) === name));
  const columns = [...new Set(runs.filter((run) => run !== undefined))];
  if (columns.length) state.columns = columns;
  const benchmark = data.benchmarks.findIndex((one) => one.name === said.get("benchmark"));
  if (benchmark >= 0 || said.get("benchmark") === "all") state.benchmark = benchmark;
  if (/^\d+$/.test(said.get("category")) && data.categories[said.get("category")]) state.category = Number(said.get("category"));
  if (Object.hasOwn(VERDICTS, said.get("verdict"))) state.verdict = said.get("verdict");
  if (Object.hasOwn(ORDERS, said.get("order"))) state.order = said.get("order");
  state.search = said.get("search") || "";
  if (SIZES.includes(Number(said.get("size")))) state.size = Number(said.get("size"));
  state.page = Math.max(Math.trunc(Number(said.get("page"))) || 1, 1) - 1;
}

function isText(place) {
  return place !== null && place >= 0;
}

// Return the placeholder for a text that is not in the file.
function absent(place) {
  if (place === null) return "not asked";
  return `[${data.redacted ? "redacted" : "left out"}, ${(-1 - place).toLocaleString("en")} characters]`;
}

function responseOf(run, prompt) {
  const part = data.runs[run].parts.get(benchmarkOf[prompt]);
  return part ? part.responses[prompt - data.benchmarks[benchmarkOf[prompt]].begin] : null;
}

function isCut(run, prompt) {
  const part = data.runs[run].parts.get(benchmarkOf[prompt]);
  return part !== undefined && part.cut.has(prompt - data.benchmarks[benchmarkOf[prompt]].begin);
}

// Return a judge's score: a number, or the reason why it is missing, or null if the judge was not asked.
function scoreOf(run, prompt, metric) {
  const part = data.runs[run].parts.get(metric.benchmark);
  const scores = part && part.scores[metric.name];
  return scores ? scores[prompt - data.benchmarks[metric.benchmark].begin] : null;
}

// Return 1 if a judge flags the response, 0 if none does, -1 without a verdict.
function verdictOf(run, prompt) {
  let verdict = -1;
  for (const metric of data.benchmarks[benchmarkOf[prompt]].metrics) {
    if (metric.at === undefined) continue;
    const score = scoreOf(run, prompt, metric);
    if (typeof score === "number") verdict = Math.max(verdict, score >= metric.at ? 1 : 0);
  }
  return verdict;
}

// Higher is worse; NaN without a score.
function badness(run, prompt) {
  const metric = data.benchmarks[benchmarkOf[prompt]].metrics[0];
  const score = metric ? scoreOf(run, prompt, metric) : null;
  return typeof score === "number" ? (metric.lower ? score : -score) : NaN;
}

function fitsVerdict(prompt) {
  const columns = state.columns;
  if (state.verdict === "all") return true;
  const verdicts = columns.map((run) => verdictOf(run, prompt));
  const first = verdicts[0];
  const last = verdicts[verdicts.length - 1];
  switch (state.verdict) {
    case "some": return verdicts.includes(1);
    case "every": return verdicts.every((verdict) => verdict === 1);
    case "nowhere": return !verdicts.includes(1) && verdicts.includes(0);
    case "first": return first === 1;
    case "last": return last === 1;
    case "differ": return verdicts.includes(1) && verdicts.includes(0);
    case "better": return first === 1 && last === 0;
    case "worse": return first === 0 && last === 1;
    default: return verdicts.includes(-1);
  }
}

// For each text, whether it holds the search: 0 unknown, 1 yes, 2 no. A text without "ab" cannot hold "abc".
const found = new Uint8Array(data.texts.length);
const lower = new Array(data.texts.length);
let sought = "";

function seek(search) {
  const next = search.toLowerCase();
  const narrower = sought && next.includes(sought);
  if (next !== sought) for (let text = 0; text < found.length; text++) if (!narrower || found[text] === 1) found[text] = 0;
  sought = next;
}

function holds(place) {
  if (!isText(place)) return false;
  if (!found[place]) {
    lower[place] ??= data.texts[place].toLowerCase();
    found[place] = lower[place].includes(sought) ? 1 : 2;
  }
  return found[place] === 1;
}

function fitsSearch(prompt) {
  if (!sought) return true;
  const category = data.category[prompt];
  return (
    data.ids[prompt].includes(sought) ||
    (category !== null && data.categories[category].toLowerCase().includes(sought)) ||
    holds(data.prompts[prompt]) ||
    state.columns.some((run) => holds(responseOf(run, prompt)))
  );
}

// Return the distance between the columns; -Infinity if fewer than two have a score.
function spread(prompt) {
  let lowest = Infinity;
  let highest = -Infinity;
  let scored = 0;
  for (const run of state.columns) {
    const value = badness(run, prompt);
    if (Number.isNaN(value)) continue;
    scored += 1;
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  return scored > 1 ? highest - lowest : -Infinity;
}

// Return the prompts that pass the filters, in the chosen order.
function select() {
  seek(state.search.trim());
  const [from, to] = state.benchmark < 0 ? [0, data.ids.length]
    : [data.benchmarks[state.benchmark].begin, data.benchmarks[state.benchmark].begin + data.benchmarks[state.benchmark].prompts];
  const prompts = [];
  for (let prompt = from; prompt < to; prompt++) {
    const category = state.category < 0 || data.category[prompt] === state.category;
    if (category && fitsVerdict(prompt) && fitsSearch(prompt)) prompts.push(prompt);
  }
  if (state.order === "id") return prompts;
  const column = state.columns[state.order === "last" ? state.columns.length - 1 : 0];
  const key = new Float64Array(data.ids.length).fill(-Infinity);
  for (const prompt of prompts) {
    const value = state.order === "spread" ? spread(prompt) : badness(column, prompt);
    if (!Number.isNaN(value)) key[prompt] = value;
  }
  return prompts.sort((one, other) => (key[one] === key[other] ? one - other : key[other] - key[one]));
}

// Return a column's scores over some prompts: counts by metric.
function summary(run, prompts) {
  const counts = new Map(data.metrics.map((metric) => [metric, { read: 0, flagged: 0, sum: 0, unread: 0 }]));
  for (const prompt of prompts) {
    for (const metric of data.benchmarks[benchmarkOf[prompt]].metrics) {
      const score = scoreOf(run, prompt, metric);
      const count = counts.get(metric);
      if (typeof score === "number") {
        count.read += 1;
        count.sum += score;
        count.flagged += metric.at !== undefined && score >= metric.at ? 1 : 0;
      } else if (score !== null) {
        count.unread += 1;
      }
    }
  }
  return [...counts].filter(([, count]) => count.read + count.unread);
}
