// Keeps the page fresh: asks for it again when keeper has news, moves the clocks in between.
// No library, no inline code, nothing from elsewhere: the Content-Security-Policy allows none.
"use strict";

const APART_MS = 1000; // not more often than this
const ANYWAY_MS = 15000; // and at least so often, should the news be lost on the way

let refreshing = false;
let waiting = false;

function duration(seconds) {
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    const number = Math.floor(left / size);
    left %= size;
    if (number) parts.push(`${number} ${unit}`);
    else if (parts.length) break;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

function tellTime() {
  for (const at of document.querySelectorAll("time[data-since]"))
    at.textContent = duration((Date.now() - Date.parse(at.dateTime)) / 1000);
  for (const at of document.querySelectorAll("time[data-until]"))
    at.textContent = duration((Date.parse(at.dateTime) - Date.now()) / 1000);
}

// A picture stays until the next one is there, so that nothing flickers.
function keepPictures(before, after) {
  for (const fresh of after.querySelectorAll("img.picture")) {
    const old = [...before.querySelectorAll("img.picture")]
      .find((img) => img.dataset.slot === fresh.dataset.slot);
    if (!old || !old.complete || !old.naturalWidth) continue;
    const address = fresh.src;
    fresh.replaceWith(old);
    if (old.src === address) continue;
    const next = new Image();
    next.onload = () => { old.src = address; };
    next.src = address;
  }
}

async function refresh() {
  if (refreshing) { waiting = true; return; }
  refreshing = true;
  try {
    const reply = await fetch(location.pathname, { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
    const before = document.getElementById("page");
    const after = document.adoptNode(fresh.getElementById("page"));
    keepPictures(before, after);
    before.replaceWith(after);
    document.title = fresh.title;
    document.body.classList.remove("lost");
    tellTime();
  } catch {
    document.body.classList.add("lost"); // keeper does not answer: what is shown is old
  }
  setTimeout(() => {
    refreshing = false;
    if (waiting) { waiting = false; refresh(); }
  }, APART_MS);
}

new EventSource("/api/v1/stream").addEventListener("snapshot", refresh);
setInterval(refresh, ANYWAY_MS);
setInterval(tellTime, 1000);
tellTime();
