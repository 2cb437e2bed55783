// The API, as the page asks it: with the token, at most one read every 100 ms, and again when the connection is lost.

const BASE = new URL(document.documentElement.dataset.api, document.baseURI);
const PACE_MS = 100;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

let lastRead = -PACE_MS;
let connectionChanged = () => {};

/** An answer that is an error; status 0: no answer of the service. */
export class Failure extends Error {
  constructor(status, body) {
    const isTemporary = [0, 500, 502, 503, 504].includes(status);
    super(body?.statusMessage ?? (isTemporary ? "The service cannot be reached." : `The service answered ${status}.`));
    const { errors = {}, rejected = [] } = body ?? {};
    Object.assign(this, { status, isTemporary, errors, rejected });
  }
}

/** Call `handler` with why reads do not succeed, and with "" when they do again. */
export function onConnection(handler) {
  connectionChanged = handler;
}

export const token = {
  get: () => sessionStorage.getItem("token"),
  set: (value) => sessionStorage.setItem("token", value),
  forget: () => sessionStorage.removeItem("token"),
};

/** Resolve after some time; reject when the signal aborts. */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal?.removeEventListener("abort", stop); resolve(); }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Send one request, and return the JSON of the answer with its ETag as `tag`; throw Failure for an error. */
export async function send(method, path, { params, body, type = "application/json", tag, signal } = {}) {
  const url = new URL(path, BASE);
  url.search = new URLSearchParams(params);
  const headers = { Accept: "application/json" };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  if (body !== undefined) headers["Content-Type"] = type;
  if (tag) headers["If-Match"] = tag;
  let response, text;
  try {
    response = await fetch(url, { method, headers, body, signal });
    text = await response.text();
  } catch (error) {
    throw signal?.aborted ? error : new Failure(0);
  }
  const answer = parsed(text);
  if (!response.ok) throw new Failure(response.status, answer);
  if (!answer) throw new Failure(0); // a proxy's own page
  return { ...answer, tag: response.headers.get("ETag") };
}

/** Read, as soon as the pace allows it; while the service does not answer, try again and again. */
export async function read(path, params, signal) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    await turn(signal);
    try {
      const answer = await send("GET", path, { params, signal });
      connectionChanged("");
      return answer;
    } catch (error) {
      if (error.status && !error.isTemporary) connectionChanged("");
      if (!error.isTemporary) throw error;
      connectionChanged(`${error.message} Trying again.`);
    }
    await sleep(wait, signal);
  }
}

/** Wait until the next read may start. A read that is aborted while it waits takes no time from the others. */
async function turn(signal) {
  for (;;) {
    signal?.throwIfAborted();
    const wait = lastRead + PACE_MS - performance.now();
    if (wait <= 0) break;
    await sleep(wait, signal);
  }
  lastRead = performance.now();
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
