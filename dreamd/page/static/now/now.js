// What goes on now: the dreams that run, the queue, the workers.

import { byId, make, refill } from "../dom.js";
import { order } from "../orders.js";
import { count, duration, folderName, plural, printable, size } from "../words.js";
import { cancelButton, cancelFolderButton } from "./cancel.js";
import { forgetRunning, showRunning } from "./running.js";

const MOST_NEXT = 5;

export function showNow(status) {
  showNumbers(status);
  showRunning(status);
  showQueue(status);
  showWorkers(status);
}

/** Nothing is known while dreamd does not answer. */
export function showGone() {
  forgetRunning();
  for (const id of ["running", "queue", "workers"]) {
    refill(byId(id), "gone", () => [make("p", { class: "empty" }, "Not known while dreamd does not answer.")]);
  }
  refill(byId("numbers"), "gone", () => []);
}

function showNumbers(status) {
  if (status.queued === undefined) return;
  const rows = [
    ["Queued", count(status.queued)],
    ["Held", count(status.held)],
    ["Done", count(status.done)],
    ["Failed", count(status.failed)],
    ["Rate", status.done_per_hour ? `${count(Math.round(status.done_per_hour))} / h` : "–"],
    ["To go", status.eta_seconds && status.queued + status.running ? duration(status.eta_seconds) : "–"],
  ];
  refill(byId("numbers"), rows, () =>
    rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
}

function showQueue(status) {
  const folders = { ...(status.folders ?? {}), ...(status.paused_pictures ?? {}) };
  const rows = Object.entries(folders);
  const waiting = (status.waiting ?? []).slice(0, MOST_NEXT);
  const basis = [rows, status.paused, status.holds, status.more_folders, waiting.map(({ job }) => job)];
  refill(byId("queue"), basis, () => {
    if (!rows.length) return [make("p", { class: "empty" }, "Nothing waits.")];
    const list = make("ul", { class: "list", "aria-labelledby": "queue-title" }, ...rows.map((row) => queueLine(row, status)));
    const more = status.more_folders ? make("p", { class: "soft" }, `and ${plural(status.more_folders, "folder")} more`) : null;
    return [list, ...(more ? [more] : []), ...(waiting.length ? [nextList(waiting)] : [])];
  });
  for (const { job, eta_seconds: seconds } of waiting) {
    const place = byId("queue").querySelector(`[data-next="${CSS.escape(job)}"]`);
    if (place) place.textContent = seconds === null ? "" : `in about ${duration(seconds)}`;
  }
}

/** The pictures that come next, each with when it will be done. */
const nextList = (waiting) => make("details", { class: "next", open: true }, make("summary", { "data-key": "next" }, "Next"),
  make("ul", { class: "list" }, ...waiting.map(({ job, picture }) => make("li", {},
    make("span", { class: "grow" }, printable(picture)), make("span", { class: "soft amount", "data-next": job }),
    cancelButton([job], `Cancel ${printable(picture)}`)))));

function queueLine([folder, number], status) {
  const isPaused = status.paused.includes(folder);
  const isPausedAbove = !isPaused && status.paused.some((above) => above === "." || folder.startsWith(`${above}/`));
  const held = status.holds.filter((hold) => hold.folder === folder);
  return make("li", {},
    make("span", { class: "grow" }, folder === "." && isPaused ? "everything" : folderName(folder)),
    held.length ? make("a", { class: "chip bad", href: "#attention" }, "held") : null,
    isPaused || isPausedAbove ? make("span", { class: "chip warm" }, "paused") : null,
    make("span", { class: "amount" }, plural(number, "picture")),
    number ? cancelFolderButton(folder, number, `Cancel all in ${folderName(folder)}`) : null,
    isPausedAbove ? null : make("button", {
      type: "button", class: "quiet", "data-key": `pause ${folder}`,
      "aria-label": `${isPaused ? "Resume" : "Pause"} ${folderName(folder)}`,
      onclick: () => order(isPaused ? "api/resume" : "api/pause", { folder }),
    }, isPaused ? "Resume" : "Pause"),
  );
}

function showWorkers(status) {
  const workers = status.workers ?? [];
  const gpus = status.gpus ?? [];
  const problem = status.fleet_problem;
  const basis = [workers.map(({ jobs, ...rest }) => rest), gpus, problem];
  refill(byId("workers"), basis, () => [
    problem ? make("p", {}, make("span", { class: "chip bad" }, "no workers"), ` Pictures wait: ${problem}`) : null,
    workers.length || gpus.length
      ? make("ul", { class: "list", "aria-labelledby": "workers-title" }, ...workers.map(workerLine), ...gpus.map(gpuLine))
      : problem ? null : make("p", { class: "empty" }, "No worker runs."),
  ].filter(Boolean));
}

function workerLine(worker) {
  const works = { busy: "good", idle: "good", starting: "warm" }[worker.state];
  const kind = worker.error ? (works ? "warm" : "bad") : (works ?? "");
  const facts = [worker.precision, shareOf(worker), memoryOf(worker)].filter(Boolean).join(" · ");
  const device = worker.device.startsWith("auto") ? "Worker" : worker.device; // it has not chosen yet
  return make("li", {},
    make("span", { class: "grow" }, `${worker.node ? `${printable(worker.node)}: ` : ""}${device} `,
      make("span", { class: "soft" }, worker.device_name), make("small", {}, [facts, worker.error].filter(Boolean).join("\n"))),
    worker.busy_share === undefined || worker.busy_share === null ? null : busy(worker.busy_share),
    make("span", { class: `chip ${kind}` }, wordOf(worker)),
  );
}

/** What a worker has of the processors, in plain words. */
function shareOf({ threads, processors }) {
  if (!threads) return "";
  const places = /^\d+$/.test(processors) ? ` on processor ${processors}` : ` on processors ${processors}`;
  return `${plural(threads, "thread")}${processors ? places : ""}`;
}

/** What a worker holds of the main memory, and may hold; of a GPU the limit is the GPU's. */
function memoryOf({ memory_bytes, memory_limit, threads }) {
  if (!memory_bytes) return "";
  return memory_limit && threads ? `${size(memory_bytes)} of ${size(memory_limit)}` : size(memory_bytes);
}

/** What a worker does, in plain words. */
function wordOf({ state, error }) {
  if (state === "stopped" && !error) return "asleep, until a picture comes";
  return { busy: "dreaming", idle: "ready", starting: "getting ready" }[state] ?? state;
}

function gpuLine(gpu) {
  return make("li", {},
    make("span", { class: "grow" }, `GPU ${gpu.index} `, make("span", { class: "soft" }, gpu.name),
      make("small", {}, `${size(gpu.memory_used)} of ${size(gpu.memory_total)} in use`)),
    busy(gpu.busy),
  );
}

const busy = (share) => make("span", { class: "soft" }, `${Math.round(share * 100)}% busy`);
