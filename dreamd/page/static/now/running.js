// The dreams that run: the first one large, those of the other workers smaller beside it.

import { addressOf } from "../api.js";
import { byId, make, refill } from "../dom.js";
import { thumbnailOf } from "../pictures.js";
import { duration, folderName, plural, printable } from "../words.js";
import { cancelButton } from "./cancel.js";

const MOST_SEGMENTS = 12;
const MOST_BESIDE = 5;

let newest = null; // the newest result, which is shown while nothing runs
let last = null; // what the daemon said last; null while it does not answer

/** The newest result; it stands where dreams run while none does. */
export function showNewest(result = null) {
  newest = result;
  if (last) showRunning(last);
}

/** Nothing is known while dreamd does not answer. */
export function forgetRunning() {
  last = null;
}

export function showRunning(status) {
  last = status;
  const jobs = (status.workers ?? []).flatMap((worker) => worker.jobs);
  const rest = newest?.is_there && newest.width ? newest : null;
  const box = byId("running");
  const shown = jobs.slice(0, 1 + MOST_BESIDE);
  box.classList.toggle("several", jobs.length > 1);
  const basis = jobs.length ? [shown.map((job) => [job.job, job.ascents]), jobs.length] : [nothing(status), rest?.id];
  refill(box, basis, () => (jobs.length ? cards(shown, jobs.length) : [resting(status, rest)]));
  for (const job of shown) update(box.querySelector(`[data-job="${CSS.escape(job.job)}"]`), job);
}

function nothing(status) {
  const waits = (status.queued ?? 0) > 0;
  return !waits ? "Nothing runs. Drop a picture, and watch it here."
    : status.paused?.length ? "Nothing runs: what waits is paused." : "A worker is getting ready.";
}

/** While nothing runs, the newest dream stands here. */
function resting(status, result) {
  if (!result) return make("p", { class: "empty" }, nothing(status));
  const name = result.result.split("/").pop();
  const stage = make("a", { class: "stage", href: addressOf("result", result.id), "aria-label": `The newest dream: ${name}` },
    make("img", { src: thumbnailOf(result.id, "after", "large"), alt: "", decoding: "async" }));
  const card = make("article", { class: "resting-dream" }, stage,
    make("p", { class: "about" }, make("strong", {}, name), make("span", { class: "folder" }, "the newest dream"), make("span", { class: "at" }, nothing(status))));
  card.style.setProperty("--ratio", result.width / result.height);
  return card;
}

function cards([first, ...others], number) {
  const more = number - 1 - others.length;
  const beside = others.length
    ? make("div", { class: "beside" }, ...others.map(card), more ? make("p", { class: "soft" }, `and ${plural(more, "picture")} more`) : null)
    : null;
  return [card(first), ...(beside ? [beside] : [])];
}

function card(job) {
  const segments = Math.min(MOST_SEGMENTS, Math.max(1, job.ascents));
  const [name, folder] = parts(job.picture);
  return make("article", { class: "dreaming-card", "data-job": job.job },
    make("div", { class: "stage" }, make("div", { class: "nothing" })),
    make("div", { class: "octaves", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": `Progress of ${printable(name)}` },
      ...Array.from({ length: segments }, () => make("span"))),
    make("p", { class: "about" }, make("strong", {}, printable(name)), make("span", { class: "folder" }, folderName(folder)), make("span", { class: "at" }),
      cancelButton([job.job], `Cancel ${printable(name)}`)),
  );
}

function update(card, job) {
  if (card === null) return;
  const bar = card.querySelector(".octaves");
  bar.setAttribute("aria-valuenow", Math.round(job.share * 100));
  [...bar.children].forEach((segment, index, all) => {
    segment.style.setProperty("--done", Math.min(1, Math.max(0, job.share * all.length - index)));
  });
  card.querySelector(".at").textContent = step(job);
  if (job.preview) preview(card.querySelector(".stage"), job);
}

/** Where a dream is, in one line. */
function step(job) {
  if (job.writing) return job.writing;
  if (!job.ascents) return "loading";
  const left = job.eta_seconds === null || job.eta_seconds === undefined ? "" : ` · about ${duration(job.eta_seconds)} left`;
  if (job.page) return `page ${job.page} of ${job.pages}${left}`;
  if (job.frame) return `frame ${job.frame}${job.frames ? ` of ${job.frames}` : ""}${left}`;
  return `octave ${job.ascent} of ${job.ascents}, iteration ${job.iteration} of ${job.iterations}${left}`;
}

/** The next picture fades in over the last one, once it is here. */
function preview(stage, job) {
  const source = `previews/${job.job}?${job.preview}`;
  if (stage.dataset.source === source) return;
  stage.dataset.source = source;
  const image = make("img", { alt: "The dream as it is now", class: "coming", decoding: "async" });
  image.addEventListener("load", () => {
    if (stage.dataset.source !== source) return;
    stage.parentElement.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    for (const old of stage.querySelectorAll(":scope > :not(:last-child)")) old.remove();
    stage.append(image);
    image.getBoundingClientRect(); // it has been seen through once, and fades in from there
    image.classList.remove("coming");
  });
  image.src = source;
}

function parts(picture) {
  const at = picture.lastIndexOf("/");
  return at < 0 ? [picture, "."] : [picture.slice(at + 1), picture.slice(0, at)];
}
