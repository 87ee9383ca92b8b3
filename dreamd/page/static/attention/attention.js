// What needs a person, by cause: what mends it comes first, then how many pictures it is about, and which.

import { addressOf, get } from "../api.js";
import { byId, make, refill, tried } from "../dom.js";
import { order } from "../orders.js";
import { lastOnly } from "../timing.js";
import { fetchBox } from "../weights/fetch.js";
import { ago, count, folderName, plural } from "../words.js";

const KINDS = [
  ["held", "Waiting for you"],
  ["failed", "Failed"],
  ["left", "Left in the inbox"],
];
const AGAIN = { cancelled: "Dream after all" };
const MOST_FOLDERS = 3;

const ask = lastOnly(() => get("api/attention"));

export async function attentionChanged() {
  const troubles = await ask();
  if (troubles === null) return;
  const number = troubles.filter(({ cause }) => cause !== "cancelled").length;
  const badge = byId("attention-count");
  badge.hidden = number === 0;
  badge.textContent = number;
  if (!byId("view-attention").hidden) show(troubles);
}

function show(troubles) {
  refill(byId("attention"), troubles, () => {
    if (!troubles.length) return [make("p", { class: "empty" }, "All is well.")];
    return KINDS.flatMap(([kind, title]) => section(title, troubles.filter((trouble) => trouble.kind === kind)));
  });
}

function section(title, troubles) {
  if (!troubles.length) return [];
  return [make("h3", {}, title), make("div", { class: "troubles" }, ...troubles.map(entry))];
}

function entry(trouble) {
  const amount = `${count(trouble.count)}${trouble.is_more ? " or more" : ""} ${trouble.kind === "left" ? "file" : "picture"}${trouble.count === 1 ? "" : "s"}`;
  return make("article", { class: `card trouble-card ${trouble.kind}` },
    make("div", { class: "trouble-head" },
      make("h4", {}, trouble.kind === "left" ? sentence(trouble.reason) : trouble.title),
      make("span", { class: "soft" }, `${amount} in ${folders(trouble.folders)}`)),
    make("div", { class: "trouble-deeds" }, ...deeds(trouble)),
    trouble.backbone ? fetchBox(needOf(trouble)) : words(trouble),
    pictures(trouble),
  );
}

/** What is known of weights until the daemon says more. */
const needOf = ({ backbone, reason }) =>
  ({ backbone, state: "missing", done: 0, total: null, problem: reason, may_fetch: true, path: "", sha256: "", url: "" });

function words({ reason, remedy, can_retry: canRetry, kind }) {
  if (kind === "left") return null;
  const advice = remedy && (kind === "failed" && !canRetry ? `To retry would not help: ${remedy}.` : `${sentence(remedy)}.`);
  return make("p", { class: "trouble-words" }, make("span", {}, sentence(reason)), reason && advice ? make("br") : null, make("span", { class: "soft" }, advice));
}

/** A text that begins as a sentence does; one that begins with a path or a name stays as it is. */
const sentence = (text) => (/^[a-z]+[ ,]/.test(text) ? text[0].toUpperCase() + text.slice(1) : text);

/** What a person can do, the deed that mends it first. */
function deeds(trouble) {
  const { kind, cause, folders: where, jobs, can_retry: canRetry } = trouble;
  if (kind === "left") return [];
  const all = [];
  if (kind === "held") {
    if (cause === "recipe") all.push(make("a", { class: "button", href: addressOf("recipes", where[0]) }, "Open the recipe"));
    else if (!trouble.backbone) all.push(deed("Look again", trouble, () => mend("retry", jobs), ""));
    all.push(deed("Cancel", trouble, () => mend("cancel", jobs)));
  } else {
    if (canRetry) all.push(deed(AGAIN[cause] ?? "Retry", trouble, () => mend("retry", jobs), ""));
    if (trouble.count === 1) all.push(...trouble.pictures.filter((picture) => canChange(picture, trouble)).map((picture) => again(picture, "first", canRetry ? "quiet" : "")));
    all.push(deed("Dismiss", trouble, () => mend("dismiss", jobs)));
  }
  return all;
}

/** Whether another recipe may dream a picture. */
const canChange = ({ from_nothing: fromNothing }, { can_dream_again: canDreamAgain }) => canDreamAgain && !fromNothing;

const again = ({ job, path }, place, kind) =>
  make("a", { class: `button ${kind}`, "data-key": `again ${place} ${job}`, "aria-label": `Dream it again: ${path}`, href: addressOf("again", job) }, "Dream it again…");

const deed = (text, { title, folders: where }, onclick, kind = "quiet") =>
  make("button", { type: "button", class: kind, "data-key": `${text} ${title} ${where[0]}`, "aria-label": `${text}: ${title}, ${folders(where)}`, onclick }, text);

function folders(names) {
  const shown = names.slice(0, MOST_FOLDERS).map(folderName).join(", ");
  return names.length > MOST_FOLDERS ? `${shown} and ${plural(names.length - MOST_FOLDERS, "more folder")}` : shown;
}

/** The pictures of a trouble, each with what is its own. */
function pictures(trouble) {
  const { pictures: named, count: number, reason, kind, title } = trouble;
  if (!named.length) return null;
  const more = number > named.length ? make("p", { class: "soft" }, `and ${plural(number - named.length, "more picture")}`) : null;
  return make("details", {}, make("summary", { "data-key": `pictures ${title}` }, named.length === 1 ? named[0].path : "Which pictures"),
    make("ul", { class: "list" }, ...named.map((picture) => make("li", {},
      make("span", { class: "grow" }, picture.path,
        make("small", {}, [picture.reason === reason ? null : picture.reason, told(picture, kind)].filter(Boolean).join("\n"))),
      make("span", { class: "trouble-deeds" }, ...own(picture, trouble))))),
    more);
}

const told = ({ at, attempts }, kind) =>
  (kind === "held" ? `since ${ago(at)}` : `${ago(at)}${attempts ? `, after ${plural(attempts, "attempt")}` : ""}`);

/** What can be done with one picture alone. */
function own(picture, trouble) {
  const { job, path } = picture;
  const button = (text, what) =>
    make("button", { type: "button", class: "quiet", "data-key": `${what} ${job}`, "aria-label": `${text} ${path}`, onclick: () => mend(what, [job]) }, text);
  if (trouble.kind === "held") return [button("Cancel", "cancel")];
  return [
    trouble.can_retry ? button("Retry", "retry") : null,
    canChange(picture, trouble) ? again(picture, "list", "quiet") : null,
    button("Dismiss", "dismiss"),
  ].filter(Boolean);
}

const mend = async (what, jobs) => (await order(`api/${what}`, { jobs })) && tried(attentionChanged);
