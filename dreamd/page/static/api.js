// What the page asks of dreamd. Every answer is JSON; what went wrong is told in a sentence.
// Addresses are relative to the page's own, which may be below a path of a proxy.

/** Leads to the sign-in, and from there to the place that is shown now. */
const signIn = () => location.assign(`login${location.hash}`);

async function answer(response) {
  if (response.status === 401) signIn();
  const values = await response.json().catch(() => ({ error: `dreamd answered ${response.status}` }));
  if (!response.ok) throw new Error(values.error ?? values.detail ?? `dreamd answered ${response.status}`);
  return values;
}

/** Ends something; there is no answer to that but that it is gone. */
export async function remove(path) {
  const response = await fetch(path, { method: "DELETE" });
  if (!response.ok) await answer(response);
}

export const get = async (path) => answer(await fetch(path));

const send = (method) => async (path, values) =>
  answer(await fetch(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) }));

export const post = send("POST");
export const put = send("PUT");

// A file's name may be no text. JSON brings its other bytes as half characters; in an address they are bytes again.
const HALF = /([\udc80-\udcff])/u;
const UTF8 = /%[cd][\da-f]%[89ab][\da-f]|%e[\da-f](?:%[89ab][\da-f]){2}|%f[\da-f](?:%[89ab][\da-f]){3}|%[\da-f]{2}/gi;

export const encode = (name) =>
  name.split(HALF).map((part, at) => (at % 2 ? `%${(part.charCodeAt(0) - 0xdc00).toString(16)}` : encodeURIComponent(part))).join("");

const decode = (text) => text.replace(UTF8, (bytes) => {
  try {
    return decodeURIComponent(bytes);
  } catch {
    return bytes.replace(/%(..)/g, (_, byte) => String.fromCharCode(0xdc00 + parseInt(byte, 16)));
  }
});

export const query = (values) =>
  Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => `${name}=${encode(String(value))}`).join("&");

/** The place that an address leads to: `#result/01ab?folder=sea` is the view "result", about "01ab", with a folder. */
export function place(hash) {
  const [path, ...rest] = hash.replace(/^#/, "").split("?");
  const [view, ...about] = decode(path).split("/");
  const fields = rest.join("?").split("&").map((field) => field.split("="));
  return {
    view: view || "now",
    about: about.join("/"),
    fields: Object.fromEntries(fields.map(([name, ...value]) => [name, decode(value.join("="))])),
  };
}

/** An address that leads to a place; fields without a value are left out. */
export function addressOf(view, about = "", fields = {}) {
  const asked = query(fields);
  return `#${view}${about && `/${encode(about)}`}${asked && `?${asked}`}`;
}

/** What an answer says; nothing when it is no JSON, as that of a proxy. */
function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** Asks what recipe a file carries. */
export const look = async (file) =>
  answer(await fetch(`api/carried?${query({ name: file.name })}`, { method: "PUT", headers: { "Content-Type": "application/octet-stream" }, body: file }));

/** Sends a picture, with a recipe of its own or null; `onProgress` is told the share that is sent. fetch() cannot tell that. */
export function upload(file, folder, recipe, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    if (recipe === null) request.open("PUT", `api/upload?${query({ folder, name: file.name })}`);
    else request.open("POST", `api/v1/jobs?${query({ folder, name: file.name, recipe })}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status === 401) signIn();
      const said = parsed(request.responseText);
      const picture = said.picture ?? (said.name && `${said.folder}/${said.name}`);
      if (request.status === 201 && picture) resolve(picture);
      else reject(new Error(said.error ?? said.detail ?? `dreamd answered ${request.status}`));
    };
    request.onerror = () => reject(new Error("the connection broke"));
    request.send(file);
  });
}

/** Listens to the status while the page is seen; `gone` is called when dreamd does not answer. */
export function listen(onStatus, gone) {
  let source = null;
  let again = 0;
  const open = () => {
    clearTimeout(again);
    source?.close();
    source = new EventSource("api/events");
    source.addEventListener("status", (event) => onStatus(JSON.parse(event.data)));
    source.onerror = () => {
      gone();
      source.close();
      again = setTimeout(retry, 1500);
    };
  };
  const retry = async () => {
    try {
      const response = await fetch("api/status");
      if (response.status === 401) signIn();
      if (!response.ok) throw new Error();
      open();
    } catch {
      again = setTimeout(retry, 1500);
    }
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(again);
      source?.close();
    } else open();
  });
  open();
}
