// Handle the reader's input.
function showAll() {
  showControls();
  showColumns();
  show();
}

function change(changes) {
  Object.assign(state, { page: 0 }, changes);
  show();
  byId("main").scrollTop = 0;
}

for (const id of ["benchmark", "category", "size"]) {
  byId(id).addEventListener("change", (event) => change({ [id]: Number(event.target.value) }));
}
for (const id of ["verdict", "order"]) byId(id).addEventListener("change", (event) => change({ [id]: event.target.value }));
byId("search").addEventListener("input", (event) => change({ search: event.target.value }));
byId("view").addEventListener("change", (event) => {
  const { search, size } = state;
  Object.assign(state, defaults(Number(event.target.value)), { search, size });
  showAll();
});
byId("reset").addEventListener("click", () => {
  Object.assign(state, defaults(state.view));
  showAll();
});
byId("help").addEventListener("click", () => byId("about").showModal());
byId("previous").addEventListener("click", () => change({ page: state.page - 1 }));
byId("next").addEventListener("click", () => change({ page: state.page + 1 }));

// Show another run in a column; keep the settings that the reader did not change, if such a run exists.
byId("columns").addEventListener("change", (event) => {
  const column = Number(event.target.dataset.column);
  const kind = event.target.className;
  const old = data.runs[state.columns[column]];
  const runs = data.views[state.view].runs;
  const sampler = kind === "sampler" ? event.target.value : old.sampler.name;
  let fitting = runs.filter((place) => data.runs[place].sampler.name === sampler);
  for (const key of ["n", "trial"]) {
    const wanted = kind === key ? Number(event.target.value) : old[key];
    const exact = fitting.filter((place) => data.runs[place][key] === wanted);
    if (exact.length) fitting = exact;
  }
  state.columns[column] = fitting[0];
  showColumns();
  change({ page: state.page });
  document.querySelector(`select.${kind}[data-column="${column}"]`).focus();
});

byId("columns").addEventListener("click", (event) => {
  if (event.target.classList.contains("remove")) {
    state.columns.splice(Number(event.target.dataset.column), 1);
  } else if (event.target.id === "add") {
    const unused = data.views[state.view].runs.find((place) => !state.columns.includes(place));
    state.columns.push(unused ?? state.columns[state.columns.length - 1]);
  } else {
    return;
  }
  showColumns();
  change({ page: state.page });
});

byId("rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (!window.getSelection().isCollapsed) return;
  row.classList.toggle("whole");
  row.focus({ preventScroll: true });
});

function step(by) {
  const rows = [...byId("rows").children];
  const next = rows[Math.min(Math.max(rows.indexOf(document.activeElement) + by, 0), rows.length - 1)];
  if (!next) return;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "/": () => byId("search").select(),
  "?": () => byId("about").showModal(),
  j: () => step(1),
  k: () => step(-1),
  n: () => byId("next").click(),
  p: () => byId("previous").click(),
  d: () => {
    change({ verdict: state.verdict === "differ" ? "all" : "differ" });
    byId("verdict").value = state.verdict;
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("about").open) return;
  const target = event.target;
  if (target === byId("search")) {
    if (event.key === "Escape" || event.key === "Enter") {
      target.blur();
      event.preventDefault();
    }
  } else if (target.closest("#rows") && event.key === "Enter") {
    target.closest("tr").classList.toggle("whole");
  } else if (target.tagName !== "SELECT" && Object.hasOwn(KEYS, event.key)) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

window.addEventListener("beforeprint", showRest);
window.addEventListener("hashchange", () => {
  fromHash(location.hash);
  showAll();
});

fromHash(location.hash);
byId("search").placeholder = data.texts.length ? "prompts, shown responses, ids" : "ids, categories";
showAll();
