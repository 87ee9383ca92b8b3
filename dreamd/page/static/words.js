// Numbers and places as people write them.

/** A name that can be looked at: what would not show, or would change how the rest shows, is escaped. */
export const printable = (name) => name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (sign) => {
  const code = sign.codePointAt(0).toString(16);
  return code.length > 4 ? `\\U${code.padStart(8, "0")}` : code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
});

export const folderName = (folder) => (folder === "." || folder === "" ? "inbox" : printable(folder));

export const folderPath = (name) => {
  const path = name.trim().replace(/^\/+|\/+$/g, "");
  return path === "" || path === "inbox" ? "." : path;
};

export function duration(seconds) {
  if (seconds < 1) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} days`;
}

/** A place in a film, as players tell it: 0:12, 1:02:03. */
export function filmTime(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** How long a film lasts; the shortest one a second. */
export const filmLength = (seconds) => filmTime(Math.max(1, Math.round(seconds)));

export function size(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${bytes >= 100 || unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const near = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

export const moment = (seconds) => clock.format(new Date(seconds * 1000));

export function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "just now";
  if (past < 3600) return near.format(-Math.round(past / 60), "minute");
  if (past < 86400) return near.format(-Math.round(past / 3600), "hour");
  return past < 7 * 86400 ? near.format(-Math.round(past / 86400), "day") : moment(seconds);
}

export const count = (number) => number.toLocaleString("en");

export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
