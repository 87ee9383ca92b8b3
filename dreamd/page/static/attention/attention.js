// What failed, what is held and what is left in the inbox, why, and trying again.

import { addressOf, get, post } from "../api.js";
import { byId, make, notice } from "../dom.js";
import { ago, folderName, plural } from "../words.js";

export async function attentionChanged() {
  const troubles = await get("api/failures");
  const badge = byId("attention-count");
  const number = troubles.failed.length + troubles.held.length + troubles.left.length;
  badge.hidden = number === 0;
  badge.textContent = number;
  if (!byId("view-attention").hidden) show(troubles);
}

export async function showAttention() {
  show(await get("api/failures"));
}

function show({ failed, held, left }) {
  byId("retry-all").hidden = failed.length === 0;
  byId("retry-all").onclick = () => retry(null);
  const box = byId("attention");
  box.replaceChildren();
  if (held.length) box.append(make("h3", {}, `Held: ${plural(held.length, "picture")}`), heldList(held));
  if (failed.length) box.append(make("h3", {}, `Failed: ${plural(failed.length, "picture")}`), failedList(failed));
  if (left.length) box.append(make("h3", {}, "Left in the inbox"), leftList(left));
  if (!box.childElementCount) box.append(make("p", { class: "empty" }, "All is well."));
}

/** Held pictures of one reason together: what mends one mends all. */
function heldList(held) {
  const groups = Map.groupBy ? Map.groupBy(held, key) : groupBy(held);
  return make("ul", { class: "list" }, ...[...groups.values()].map((jobs) => {
    const [first] = jobs;
    return make("li", {},
      make("span", { class: "grow" }, `${folderName(first.folder)}: ${plural(jobs.length, "picture")}`,
        make("small", {}, `${first.reason}\n→ ${first.remedy}`)),
      make("span", { class: "chip warm" }, first.cause),
      first.cause === "recipe" ? make("a", { href: addressOf("recipes", first.folder) }, "Open the recipe") : null,
      button("Look again", `Look again at ${folderName(first.folder)}`, () => retry(jobs.map(({ id }) => id))),
    );
  }));
}

/** What stays where it is: it is no job, so that there is nothing to try again. */
function leftList(left) {
  return make("ul", { class: "list" }, ...left.map(({ folder, reason, files }) => make("li", {},
    make("span", { class: "grow" }, `${folderName(folder)}: ${plural(files, "file")}`, make("small", {}, reason)))));
}

const key = (job) => `${job.folder}\n${job.cause}\n${job.reason}`;

function groupBy(jobs) {
  const groups = new Map();
  for (const job of jobs) groups.set(key(job), [...(groups.get(key(job)) ?? []), job]);
  return groups;
}

function failedList(failed) {
  return make("ul", { class: "list" }, ...failed.map((job) => make("li", {},
    make("span", { class: "grow" }, `${job.folder === "." ? "" : `${job.folder}/`}${job.name}`,
      make("small", {}, `${job.reason}\n${ago(job.finished_at)}, after ${plural(job.attempts, "attempt")}`)),
    button("Retry", `Retry ${job.name}`, () => retry([job.id])),
  )));
}

const button = (text, label, onclick) =>
  make("button", { type: "button", class: "quiet", "aria-label": label, onclick }, text);

async function retry(jobs) {
  try {
    const { said } = await post("api/retry", jobs === null ? {} : { jobs });
    said.slice(0, 3).forEach(notice);
    await attentionChanged();
  } catch (error) {
    notice(error.message);
  }
}
