// Trying a recipe that is not saved, on a small picture: before and after, while it is dreamed.

import { get, post, query, remove } from "../api.js";
import { byId, make, notice } from "../dom.js";
import { thumbnailOf } from "../pictures.js";
import { duration, printable } from "../words.js";

const POLL_MILLISECONDS = 300;
const SIDE = 256;
const QUALITY = 0.92;
const NEWEST = 20; // results of a folder among which one with an original is looked for

let textOf = null; // () => { folder, text, isWrong }
let settled = null; // () => waits until all that controls have changed is in the text
let source = { kind: "sample" }; // { kind: "job", id, name } or { kind: "data", data, name, url }
let last = null; // the newest result of the folder whose original is kept, which may be tried on
let folder = null;
let turn = 0;
let recipe = ""; // what the text comes to now
let tried = ""; // what was tried last
let running = null; // the id of the trial that is shown

/** `read()` tells the folder, its text, and whether that is wrong; `wait()` waits for what controls change in it. */
export function setUpTrial(read, wait) {
  textOf = read;
  settled = wait;
  byId("trial-run").addEventListener("click", () => settled().then(tryIt));
  byId("trial-cancel").addEventListener("click", cancel);
  byId("trial-source").addEventListener("change", (event) => choose(event.target.value));
  byId("trial-file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = "";
  });
  const box = byId("trial");
  box.addEventListener("dragover", (event) => event.preventDefault());
  box.addEventListener("drop", (event) => {
    event.preventDefault(); // so it is no upload
    take(event.dataTransfer.files[0]);
  });
}

/** Shows what can be tried on in a folder: the newest original that is kept, if there is one. */
export async function showTrial(newFolder) {
  if (folder === newFolder) return;
  folder = newFolder;
  cancel();
  byId("trial-after").replaceChildren(make("span", { class: "soft" }, "the dream comes here"));
  tell("");
  const results = await get(`api/results?${query({ folder, limit: NEWEST })}`).catch(() => []);
  if (folder !== newFolder) return;
  last = results.find(({ keeps_original: isKept }) => isKept) ?? null;
  if (source.kind !== "data") source = last ? { kind: "job", id: last.id, name: last.name } : { kind: "sample" };
  listSources();
}

function listSources() {
  const options = [
    ...(last ? [new Option(`${printable(last.name)}, the newest here`, "job")] : []),
    new Option("the portrait of the cards", "sample"),
    ...(source.kind === "data" ? [new Option(source.name, "data")] : []),
    new Option("another picture…", "choose"),
  ];
  byId("trial-source").replaceChildren(...options);
  byId("trial-source").value = source.kind;
  showBefore();
}

function choose(kind) {
  if (kind === "choose") {
    byId("trial-source").value = source.kind;
    byId("trial-file").click();
    return;
  }
  if (kind === "job") source = { kind, id: last.id, name: last.name };
  if (kind === "sample") source = { kind };
  showBefore();
}

/** Shows what the trial begins with. An original that is gone gives way to the portrait. */
function showBefore() {
  const address = { job: () => thumbnailOf(source.id, "before", "small"), data: () => source.url, sample: () => "presets/undreamed.webp" }[source.kind]();
  const image = make("img", { src: address, alt: "What it is tried on" });
  image.addEventListener("error", () => {
    if (source.kind !== "job") return;
    last = null;
    source = { kind: "sample" };
    listSources();
  });
  byId("trial-before").replaceChildren(image);
}

/** Takes a picture of the person's own: only a small copy of it is sent, and kept nowhere. */
async function take(file) {
  if (!file) return;
  try {
    const data = await small(file);
    if (source.url) URL.revokeObjectURL(source.url);
    source = { kind: "data", name: printable(file.name), data: await base64(data), url: URL.createObjectURL(data) };
    listSources();
    await settled();
    if (!textOf().isWrong) tryIt();
  } catch {
    notice(`This browser cannot show ${printable(file.name)}, so it cannot be tried on; drop it into the folder instead.`);
  }
}

async function small(file) {
  const image = await createImageBitmap(file);
  const scale = Math.min(1, SIDE / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error())), "image/webp", QUALITY));
}

const base64 = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.split(",")[1]);
  reader.onerror = reject;
  reader.readAsDataURL(blob);
});

/** Takes in what the recipe comes to now, and tries it anew where it is another and the person wants that. */
export function changed(fields) {
  const { isWrong } = textOf();
  byId("trial-run").disabled = isWrong;
  if (isWrong) return;
  recipe = JSON.stringify(fields.map(({ name, value }) => [name, value]));
  if (byId("trial-always").checked && running && recipe !== tried) tryIt();
}

async function tryIt() {
  const mine = ++turn;
  const { folder: of, text } = textOf();
  const former = running;
  tried = recipe;
  const picture = { job: { job: source.id }, data: { data: source.data }, sample: {} }[source.kind];
  begin();
  try {
    let trial = await post("api/trials", { folder: of, text, picture, former });
    if (mine !== turn) return forget(trial.id);
    running = trial.id;
    while (mine === turn) {
      show(trial);
      if (trial.state === "done" || trial.state === "failed") return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
      if (mine === turn) trial = await get(`api/trials/${trial.id}`);
    }
  } catch (error) {
    if (mine === turn) end(error.message, "bad");
  }
}

function begin() {
  byId("trial-progress").hidden = false;
  byId("trial-progress").value = 0;
  byId("trial-cancel").hidden = false;
  byId("trial").setAttribute("aria-busy", "true");
  tell("getting ready");
}

function show(trial) {
  if (trial.after) showAfter(trial.after, trial.state === "done");
  if (trial.state === "done") return end(`dreamed in ${duration(trial.seconds)}; at full size it has finer detail`, "");
  if (trial.state === "failed") return end(trial.problem, "bad");
  byId("trial-progress").value = trial.share;
  tell(trial.words);
}

function showAfter(address, isDone) {
  let image = byId("trial-after").querySelector("img");
  if (image === null) {
    image = make("img", {});
    byId("trial-after").replaceChildren(image);
  }
  image.alt = isDone ? "What the recipe makes of it" : "The dream as it is now";
  if (image.getAttribute("src") !== address) image.src = address;
}

function end(text, kind) {
  byId("trial-progress").hidden = true;
  byId("trial-cancel").hidden = true;
  byId("trial").removeAttribute("aria-busy");
  tell(text, kind);
}

function tell(text, kind = "") {
  const line = byId("trial-words");
  line.className = `trial-words ${kind}`;
  line.textContent = text;
}

function cancel() {
  turn += 1;
  if (running) forget(running);
  running = null;
  end("");
}

const forget = (id) => remove(`api/trials/${id}`).catch(() => {}); // it is forgotten by itself soon
