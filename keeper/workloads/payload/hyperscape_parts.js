// What the duel's look and acts share: bounded HTTP, and the process table by pid, never by name.
// It stands in front of one of the two programs; Node 18 and Bun both run it with `-e`.
"use strict";
const fs = require("fs");
const http = require("http");
const path = require("path");

// What goes wrong in here is told in a sentence: a person may read it, and no page of a stack helps one.
for (const kind of ["uncaughtException", "unhandledRejection"]) {
    process.on(kind, (error) => {
        process.stderr.write(`keeper's program failed on this host: ${plain((error && error.message) || error, 160)}\n`);
        process.exit(2);
    });
}

const config = JSON.parse(process.env.keeper_config || "{}");
config.base = `http://${process.env.keeper_address || "127.0.0.1"}:${config.port}`;
config.dir = path.resolve(process.env.HOME || "/root", config.dir); // a relative one begins at home
const BODY_MAX = 524288;
const home = () => process.env.PM2_HOME || path.join(process.env.HOME || "/root", ".pm2");

// ask METHOD PATH: {code, text, json}; code 0 when there was no answer within the time.
function ask(method, where, { headers = {}, body = "", timeout_ms = config.timeout_ms } = {}) {
    return new Promise((resolve) => {
        let text = "", done = false;
        const finish = (code) => {
            if (done) return;
            done = true;
            clearTimeout(alarm);
            let json = null;
            try { json = JSON.parse(text); } catch (error) { /* no JSON */ }
            resolve({ code, text, json: json && typeof json === "object" ? json : null });
            request.destroy();
        };
        const request = http.request(config.base + where, {
            method, agent: false,
            headers: { ...headers, ...(body ? { "content-type": "application/json", "content-length": Buffer.byteLength(body) } : {}) },
        }, (response) => {
            response.setEncoding("utf8");
            response.on("data", (data) => {
                text += data;
                if (text.length > BODY_MAX) finish(0);
            });
            response.on("end", () => finish(response.statusCode));
            response.on("error", () => finish(0));
        });
        const alarm = setTimeout(() => finish(0), timeout_ms);
        request.on("error", () => finish(0));
        request.end(body);
    });
}

// stat PID: {pid, parent, group, state, start}; null when there is no such process. `start` is in clock
// ticks since boot and tells two processes of one pid apart.
function stat(pid) {
    try {
        const words = fs.readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /s, "").split(" ");
        return { pid: Number(pid), state: words[0], parent: Number(words[1]), group: Number(words[2]), start: words[19] };
    } catch (error) { return null; }
}

function commandLine(pid) {
    try { return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").slice(0, 4096); } catch (error) { return ""; }
}

// Elapsed time by the kernel's own count: a wall clock that is set must neither end a wait nor make anything
// look stuck or young.
const up_ms = () => Math.round(Number(fs.readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000);

// How old a process is, in milliseconds. The kernel counts in hundredths of a second.
const age_ms = (one) => Math.max(0, up_ms() - Number(one.start) * 10);

function processes() {
    return fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(stat)
        .filter((one) => one && one.state !== "Z" && one.state !== "X");
}

// The process of a PM2 app, by the pid file that PM2 keeps; PM2 itself is not asked, it would start.
function app(name) {
    let newest = null;
    try {
        for (const file of fs.readdirSync(path.join(home(), "pids"))) {
            const id = file.startsWith(`${name}-`) && /^\d+\.pid$/.test(file.slice(name.length + 1));
            if (!id) continue;
            const one = stat(fs.readFileSync(path.join(home(), "pids", file), "utf8").trim());
            if (one && one.state !== "Z" && (!newest || Number(one.start) > Number(newest.start))) newest = one;
        }
    } catch (error) { /* no PM2 */ }
    return newest;
}

function below(pid, all) {
    const found = [], waiting = [pid];
    while (waiting.length > 0) {
        const parent = waiting.pop();
        for (const one of all) if (one.parent === parent) { found.push(one); waiting.push(one.pid); }
    }
    return found;
}

// The bridge: an app of its own, or the topmost process below the one app whose command line has its word.
function bridge(all) {
    if (config.bridge_app) return app(config.bridge_app);
    const root = app(config.app);
    if (!root) return null;
    const mine = below(root.pid, all).filter((one) => commandLine(one.pid).includes(config.bridge_word));
    return mine.find((one) => !mine.some((other) => other.pid === one.parent)) || null;
}

// Whose socket listens on a port of this host, by /proc alone: `ss` is not everywhere.
function listeners(port) {
    const wanted = port.toString(16).toUpperCase().padStart(4, "0"), sockets = new Set();
    for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
        let text = "";
        try { text = fs.readFileSync(file, "utf8"); } catch (error) { continue; }
        for (const line of text.split("\n").slice(1)) {
            const words = line.trim().split(/\s+/);
            if (words[3] === "0A" && words[1].endsWith(`:${wanted}`)) sockets.add(`socket:[${words[9]}]`);
        }
    }
    return processes().filter((one) => {
        try {
            return fs.readdirSync(`/proc/${one.pid}/fd`).some((fd) => {
                try { return sockets.has(fs.readlinkSync(`/proc/${one.pid}/fd/${fd}`)); } catch (error) { return false; }
            });
        } catch (error) { return false; }
    });
}

// Whether a process works inside our checkout.
function within(one) {
    try {
        const cwd = fs.readlinkSync(`/proc/${one.pid}/cwd`);
        return cwd === config.dir || cwd.startsWith(`${config.dir}/`);
    } catch (error) { return false; }
}

// The game server's process: of those that listen on its port, one of our checkout first. Its name is
// "PID:START", "" when it cannot be found.
function server() {
    const all = listeners(config.port);
    return all.find(within) || all[0] || null;
}
const nameOf = (one) => (one ? `${one.pid}:${one.start}` : "");

// keeper's own folder, and what it has left there; null when there is none.
const mine = path.resolve(config.dir, ".keeper");
function left(name) {
    try { return JSON.parse(fs.readFileSync(path.join(mine, name), "utf8")); } catch (error) { return null; }
}

// Keys and passwords that the workload logs: out before anything is cut, because half a key is no longer
// recognised. Keeper does it again with the values that it knows.
function redacted(text) {
    return text
        .replace(/\b(rtmps?|srt|https?|wss?|postgres\w*|mysql|redis):\/\/[^\s"'|\]]+/gi, "$1://…")
        .replace(/\b([\w-]*(?:key|token|secret|password|passwd|admin[_-]?code|jwt)[\w-]*)(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;]+)/gi, "$1$2…");
}

// One line for a person: no control characters, bounded.
function plain(text, most) {
    // eslint-disable-next-line no-control-regex
    return redacted(String(text).replace(/\x1b\[[0-9;]*[A-Za-z]/g, "").replace(/[\x00-\x1f\x7f-\x9f]+/g, " ").trim()).slice(0, most);
}
