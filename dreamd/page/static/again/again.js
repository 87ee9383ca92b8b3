// A picture that was dreamed or has failed, dreamed again: its original or the dream itself, with recipes that are chosen by what they make.

import { addressOf, get, post } from "../api.js";
import { byId, notice, tried } from "../dom.js";
import { thumbnailOf } from "../pictures.js";
import { presets } from "../presets/preset.js";
import { whenQuiet } from "../timing.js";
import { showFetchBoxes } from "../weights/fetch.js";
import { plural } from "../words.js";
import { card, ownCard, undreamed } from "./cards.js";
import { isSweeping, setUpSweep, showSweep, sweepAsked, sweepBase, sweepCount } from "./sweep.js";

let current = null; // what can be dreamed again: { job, state, name, folder, problems, recipe, most }
let showing = 0;
let isWrong = false;
let needs = ""; // the recipes whose weights were asked about

export function setUpAgain() {
  byId("again-form").addEventListener("submit", start);
  byId("again-form").addEventListener("change", showCount);
  byId("again-cards").addEventListener("change", () => { byId("again-edit").hidden = !wantsOwn(); });
  byId("again-text").addEventListener("input", whenQuiet(judge));
  setUpSweep(showCount, () => ({ folder: current?.folder ?? ".", text: byId("again-text").value }));
}

/** Shows what a result, or a picture that failed, can be dreamed again with; `of` and `by` say what is chosen first. */
export async function showAgain(job, { of = "original", by = "recipes" }) {
  const turn = ++showing;
  if (current?.job !== job) {
    current = null;
    reveal(false);
    byId("again-title").textContent = "Dream it again";
    const asked = Promise.all([get(`api/again/${encodeURIComponent(job)}`), presets({ anew: true })]);
    const [choices, { undreamed: address, presets: cards }] = await asked.catch((error) => {
      if (turn === showing) tell(error.message);
      return [null, {}];
    });
    if (turn !== showing || choices === null) return;
    current = choices;
    showCards(address, cards);
    byId("again-text").value = choices.recipe ?? "";
  }
  reveal(true);
  showSource(of);
  await showSweep(by === "values", current);
  showCount();
}

/** A folder below the picture's, as a recipe has one. */
const folderOfRecipe = () => (current.folder === "." ? "recipe" : `${current.folder}/recipe`);

function reveal(isKnown) {
  for (const part of byId("again-form").children) {
    if (!part.matches(".bar, #again-problem")) part.hidden = !isKnown;
  }
  byId("again-back").hidden = !isKnown;
}

function showSource(of) {
  const { job, state, name, problems } = current;
  const hasFailed = state === "failed";
  byId("again-title").textContent = `Dream ${name} again`;
  byId("again-back").href = hasFailed ? addressOf("attention") : addressOf("result", job);
  byId("again-back").textContent = hasFailed ? "Back to Attention" : "Back to the picture";
  for (const [kind, side] of [["original", "before"], ["result", "after"]]) {
    const image = byId(`again-${kind}`);
    image.hidden = problems[kind] !== null;
    if (problems[kind] === null) image.src = thumbnailOf(job, side, "small");
    byId(`again-${kind}-words`).textContent = problems[kind] ?? { original: hasFailed ? "the picture that failed" : "as it was before it was dreamed", result: "the dream is what is dreamed" }[kind];
    document.querySelector(`input[name="again-of"][value="${kind}"]`).disabled = problems[kind] !== null;
  }
  const wanted = problems[of] === null ? of : ["original", "result"].find((kind) => problems[kind] === null);
  tell(wanted === undefined ? `${problems.original} ${problems.result}` : "");
  if (wanted) document.querySelector(`input[name="again-of"][value="${wanted}"]`).checked = true;
}

/** Shows what there is to choose from; what is ticked stays so. */
function showCards(address, cards, ticked = [], isOwn = false) {
  const own = current.recipe === null ? [] : [ownCard(isOwn, current.state === "failed")];
  byId("again-cards").replaceChildren(undreamed(address), ...own, ...cards.map((each) => card(each, ticked.includes(each.name))));
  byId("again-edit").hidden = !isOwn;
}

/** Weights have come or gone. */
export async function weightsChanged() {
  if (current === null) return;
  const { undreamed: address, presets: cards } = await presets({ anew: true });
  if (current === null) return;
  showCards(address, cards, chosen(), wantsOwn());
  needs = "";
  await showNeeds();
}

const chosen = () => [...byId("again-cards").querySelectorAll('input[name="recipe"]:checked')].map(({ value }) => value);
const wantsOwn = () => byId("again-own")?.checked ?? false;
const source = () => document.querySelector('input[name="again-of"]:checked:enabled')?.value;

/** Offers to fetch the weights that what is chosen needs. */
async function showNeeds() {
  const names = isSweeping() ? [sweepBase()].filter(Boolean) : chosen();
  const texts = names.map((name) => `extends: ${JSON.stringify(name)}`);
  const asked = JSON.stringify(texts);
  if (asked === needs) return;
  needs = asked;
  const found = (await Promise.all(texts.map((text) => post("api/weights", { folder: folderOfRecipe(), text })))).flat();
  if (asked !== needs) return;
  const missing = [...new Map(found.map((each) => [each.backbone, each])).values()];
  showFetchBoxes(byId("again-weights"), missing);
}

function showCount() {
  if (current === null) return;
  tried(showNeeds);
  const number = isSweeping() ? sweepCount() : chosen().length + (wantsOwn() ? 1 : 0);
  const isTooMany = number > current.most;
  byId("again-count").textContent = isTooMany ? `at most ${current.most} at once` : "";
  byId("again-start").textContent = number ? `Dream ${plural(number, "picture")}` : "Dream";
  byId("again-start").disabled = !number || isTooMany || !source() || (!isSweeping() && wantsOwn() && isWrong);
}

async function judge() {
  const text = byId("again-text").value;
  const { problem } = await post("api/recipe/check", { folder: folderOfRecipe(), text }).catch(({ message }) => ({ problem: { text: message } }));
  if (text !== byId("again-text").value) return;
  isWrong = problem !== null;
  byId("again-text").setAttribute("aria-invalid", isWrong);
  byId("again-verdict").className = `verdict ${isWrong ? "bad" : "good"}`;
  byId("again-verdict").textContent = problem?.text ?? "This is right.";
  showCount();
}

function tell(problem) {
  byId("again-problem").hidden = problem === "";
  byId("again-problem").textContent = problem;
}

async function start(event) {
  event.preventDefault();
  const button = byId("again-start");
  if (button.disabled) return;
  button.disabled = true;
  tell("");
  const asked = isSweeping() ? sweepAsked() : { recipes: chosen(), text: wantsOwn() ? byId("again-text").value : null };
  try {
    const made = await post(`api/again/${current.job}`, { ...asked, of: source(), small: byId("again-small").checked });
    const broken = made.dreams.filter(({ problem }) => problem);
    if (broken.length) notice(`${plural(broken.length, "picture")} could not be posted: ${broken[0].problem}`);
    current = null; // the next time begins anew
    location.hash = addressOf("compare", made.comparison);
  } catch (error) {
    tell(error.message);
    byId("again-problem").scrollIntoView({ block: "nearest" });
    showCount();
  }
}
