// Dreams of one picture side by side, while they come and afterwards.

import { addressOf, get, post } from "../api.js";
import { byId, make, refill, tried } from "../dom.js";
import { order } from "../orders.js";
import { originalOf, resultOf, thumbnailOf } from "../pictures.js";
import { lastOnly } from "../timing.js";
import { ago, plural, printable } from "../words.js";
import { dreamPane, links, originalPane, sharpen, updatePane } from "./panes.js";
import { Zoom } from "./zoom.js";

const SHARP = 1.4; // from this zoom on the whole pictures are shown
const QUIET_MILLISECONDS = 900;

let zoom = null;
let shown = null; // the comparison that is shown
let showing = 0;
let running = new Map(); // what workers say of the jobs that run, by job
let timer = 0;
let isAsking = false;

export function setUpCompare() {
  zoom = new Zoom(byId("panes"), onZoom);
  byId("zoom-in").addEventListener("click", () => zoom.in());
  byId("zoom-out").addEventListener("click", () => zoom.out());
  byId("zoom-fit").addEventListener("click", () => zoom.fit());
  byId("panes-original").addEventListener("click", () => showOriginal(byId("panes-original").getAttribute("aria-pressed") !== "true"));
}

/** Shows a comparison, or the list of them where none is named. */
export async function showCompare(about) {
  const turn = ++showing;
  byId("panes-tools").hidden = byId("panes").hidden = !about;
  byId("panes-list").hidden = Boolean(about);
  if (!about) {
    shown = null;
    showList(await get("api/comparisons"), turn);
    return;
  }
  const found = await get(`api/comparisons/${encodeURIComponent(about)}`).catch((error) => {
    if (turn === showing) lose(error.message);
    return null;
  });
  if (turn !== showing || found === null) return;
  build(found);
  update(found);
}

function lose(problem) {
  shown = null;
  delete byId("panes-about").dataset.basis;
  byId("panes-title").textContent = "Comparison";
  byId("panes-about").textContent = problem;
  byId("panes-tools").hidden = byId("panes").hidden = byId("panes-differences").hidden = true;
}

/** Something is other than before: a dream may be further, or done. */
export function compareChanged(status) {
  running = new Map((status.workers ?? []).flatMap(({ jobs }) => jobs).map((job) => [job.job, job]));
  if (shown === null || byId("view-compare").hidden) return;
  if (shown.dreams.every(isOver)) return;
  for (const [index, dream] of shown.dreams.entries()) show(index, dream);
  if (!timer && !isAsking) timer = setTimeout(ask, QUIET_MILLISECONDS);
}

const isOver = ({ told }) => told === null || ["done", "failed", "gone"].includes(told.state);

const askShown = lastOnly(() => get(`api/comparisons/${encodeURIComponent(shown.id)}`));

async function ask() {
  timer = 0;
  isAsking = true;
  const turn = showing;
  try {
    const found = await askShown();
    if (turn === showing && found !== null) update(found);
  } catch {
    // dreamd does not answer, which the page tells; the next news asks again
  } finally {
    isAsking = false;
  }
}

function build(comparison) {
  const { source, of, picture, field, dreams } = comparison;
  const isOfOne = source !== ""; // or there is no one picture that they are dreams of
  byId("panes-title").textContent = isOfOne ? (field ? `${picture}: ${field}` : picture) : plural(dreams.length, "dream");
  byId("panes-again").hidden = byId("panes-original").hidden = !isOfOne;
  byId("panes-again").href = addressOf("again", source, { of: of === "original" ? "" : of, by: field ? "values" : "" });
  const kind = of === "original" ? "before" : "after";
  const befores = [thumbnailOf(source, kind, "large")];
  for (const { told } of dreams) if (told?.job && told.state === "done") befores.push(thumbnailOf(told.job, "before", "large"));
  const full = of === "original" ? originalOf(source) : resultOf(source);
  byId("panes").style.removeProperty("--ratio");
  byId("panes").replaceChildren(
    ...(isOfOne ? [originalPane(of === "original" ? "the original" : "the dream before", befores, full)] : []),
    ...dreams.map(({ label }) => dreamPane(label, nameOf(field))),
  );
  byId("panes").classList.toggle("many", dreams.length > 5);
  showOriginal(false);
  zoom.fit();
}

/** What a field is called before its value; nothing where the value is a name itself. */
const nameOf = (field) => (field.endsWith(".name") || field === "layers" ? "" : field.split(".").pop());

function update(comparison) {
  shown = comparison;
  comparison.dreams.forEach((dream, index) => show(index, dream));
  showAbout(comparison);
  showDifferences(comparison);
}

function showAbout({ dreams }) {
  const left = dreams.filter((dream) => !isOver(dream)).length;
  const held = dreams.filter(({ told }) => told?.state === "held").length;
  const coming = left - held ? `${plural(left - held, "dream")} to come, each seen here while it is made.` : "";
  const words = [coming, held ? `${plural(held, "dream")} held until what is wrong is mended.` : ""].filter(Boolean).join(" ");
  const discarded = dreams.filter(({ is_discarded: isDiscarded }) => isDiscarded).map(({ told }) => told.job);
  refill(byId("panes-about"), [words, discarded], () => [words, ...(discarded.length ? [
    ` ${plural(discarded.length, "dream")} in the trash. `,
    make("button", { type: "button", class: "quiet", "data-key": "undo", onclick: () => change("restore", discarded) }, "Bring back"),
  ] : [])]);
}

/** The results that can be kept or discarded. */
const kept = () => shown.dreams.filter(({ told, is_there: isThere, is_discarded: isDiscarded }) => told?.state === "done" && isThere && !isDiscarded);

/** Keeps one dream, and moves the others that are done into the trash, from where they come back. */
const keep = (job) => change("delete", kept().map(({ told }) => told.job).filter((other) => other !== job));

async function change(deed, jobs) {
  await tried(() => post(`api/v1/results/${deed}`, { jobs }));
  await ask();
}

async function cancel(job) {
  await order("api/cancel", { jobs: [job] });
  await ask();
}

function show(index, dream) {
  const pane = byId("panes").querySelectorAll(".pane:not(.original)")[index];
  if (pane) updatePane(pane, dream, running.get(dream.told?.job), acts, kept().length > 1);
}

function acts(dream, isOneOfMany) {
  const { told, is_there: isThere, is_discarded: isDiscarded } = dream;
  if (isDiscarded) return [act("Bring back", () => change("restore", [told.job]))];
  if (told?.state === "done") {
    return isThere ? [...links(dream), ...(isOneOfMany ? [act("Keep only this", () => keep(told.job))] : [])] : [];
  }
  const attention = ["failed", "held"].includes(told?.state) ? [make("a", { href: "#attention" }, "Attention")] : [];
  return told?.job && !isOver(dream) ? [...attention, act("Cancel", () => cancel(told.job))] : attention;
}

const act = (word, onclick) => make("button", { type: "button", class: "plain", onclick }, word);

function onZoom(scale) {
  byId("zoom-value").textContent = `${scale < 10 ? Number(scale.toFixed(1)) : Math.round(scale)}×`;
  byId("zoom-out").disabled = byId("zoom-fit").disabled = scale === 1;
  if (scale >= SHARP) sharpen(byId("panes"));
}

/** Every dream gives way to the original for as long as it is asked for, at the same place. */
function showOriginal(isWanted) {
  byId("panes-original").setAttribute("aria-pressed", isWanted);
  const source = byId("panes").querySelector(".original img")?.src;
  for (const frame of byId("panes").querySelectorAll(".pane:not(.original) .frame")) {
    frame.querySelector(".instead")?.remove();
    if (isWanted && source) frame.append(make("img", { class: "instead", src: source, alt: "", draggable: "false" }));
  }
}

function showDifferences({ dreams, differences, field }) {
  const isTold = differences.length > 0 && !(field && differences.length === 1);
  byId("panes-differences").hidden = !isTold;
  if (!isTold) return;
  const names = dreams.map(({ label }) => make("th", { scope: "col" }, printable(label)));
  const rows = differences.map((each) => make("tr", {},
    make("td", {}, make("code", {}, each.field)),
    ...each.values.map((value) => make("td", {}, make("code", {}, value ?? "–")))));
  byId("panes-table").replaceChildren(make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Field"), ...names)), make("tbody", {}, ...rows));
}

function showList(comparisons, turn) {
  if (turn !== showing) return;
  byId("panes-title").textContent = "Comparisons";
  delete byId("panes-about").dataset.basis;
  byId("panes-about").textContent = comparisons.length ? "" : "Nothing is compared yet. Open a result, and choose “Dream it again”.";
  byId("panes-differences").hidden = true;
  byId("panes-list").replaceChildren(...comparisons.map((each) => make("li", {},
    make("a", { href: addressOf("compare", each.id) },
      make("img", { src: thumbnailOf(each.source, each.of === "original" ? "before" : "after", "small"), alt: "", loading: "lazy", width: 320, height: 240 }),
      make("span", {}, make("b", {}, each.picture), make("small", {}, [plural(each.number, "dream"), each.field, ago(each.made_at)].filter(Boolean).join(" · ")))))));
}

