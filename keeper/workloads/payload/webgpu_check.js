// Does this host's browser draw by WebGPU on the hardware? Tries configurations until one does.
//
// The same as webgpu_check.py, for hosts that have node or bun and no Python; see there. Node 16 or
// newer, no packages. Its one argument is the same JSON object, its one line of output the same.

"use strict";
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");

const TEXT_MAX = 200;
const MESSAGE_MAX_BYTES = 1 << 20;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
let running = null;

function which(name) {
    const places = name.includes("/") ? [""] : (process.env.PATH || "").split(":");
    for (const place of places) {
        const file = place ? path.join(place, name) : name;
        try {
            fs.accessSync(file, fs.constants.X_OK);
            if (fs.statSync(file).isFile()) return file;
        } catch (error) { /* not there */ }
    }
    return null;
}

// One browser with a profile of its own, in a process group of its own.
class Browser {
    constructor(command, environment) {
        this.profile = fs.mkdtempSync(path.join(os.tmpdir(), "keeper-webgpu-"));
        const log = fs.openSync(path.join(this.profile, "log"), "w");
        // The protocol's ends are file descriptors 3 and 4.
        this.process = spawn(command[0],
            [...command.slice(1), `--user-data-dir=${this.profile}`, "about:blank"],
            { detached: true,
                // What it leaves elsewhere stays for ever; and some drivers want a runtime folder.
                env: { XDG_RUNTIME_DIR: this.profile, ...environment, TMPDIR: this.profile },
                stdio: ["ignore", log, log, "pipe", "pipe"] });
        fs.closeSync(log);
        this.read = "";
        this.number = 0;
        this.waiting = new Map();
        this.gone = false;
        const end = () => {
            this.gone = true;
            for (const { no } of this.waiting.values()) no(new Error("gone"));
        };
        this.process.on("error", end);
        this.process.on("exit", end);
        this.process.stdio[3].on("error", end);
        this.process.stdio[4].on("error", end);
        this.process.stdio[4].on("data", (data) => this.hear(data.toString()));
    }

    hear(text) {
        this.read += text;
        if (this.read.length > MESSAGE_MAX_BYTES) this.end();
        const parts = this.read.split("\0");
        this.read = parts.pop();
        for (const part of parts) {
            let message = {};
            try { message = JSON.parse(part); } catch (error) { continue; }
            const waiting = this.waiting.get(message.id);
            if (waiting) {
                this.waiting.delete(message.id);
                waiting.yes(message);
            }
        }
    }

    ask(method, params, session) {
        const id = ++this.number;
        return new Promise((yes, no) => {
            if (this.gone) return no(new Error("gone"));
            this.waiting.set(id, { yes, no });
            const question = { id, method, params, ...(session ? { sessionId: session } : {}) };
            this.process.stdio[3].write(`${JSON.stringify(question)}\0`);
        });
    }

    complaint() {
        try {
            const lines = fs.readFileSync(path.join(this.profile, "log"), "utf8").slice(0, 65536)
                .trim().split("\n");
            return lines[lines.length - 1];
        } catch (error) { return ""; }
    }

    kill() {
        try { process.kill(-this.process.pid, "SIGKILL"); } catch (error) { /* it has ended */ }
    }

    async end() {
        this.kill();
        for (let tries = 0; tries < 20; tries++) {
            try { fs.rmSync(this.profile, { recursive: true, force: true }); } catch (error) { /* busy */ }
            if (!fs.existsSync(this.profile)) break;
            await pause(100);
        }
    }
}

async function answer(browser, url, expression) {
    const made = await browser.ask("Target.createTarget", { url });
    const attached = await browser.ask("Target.attachToTarget",
        { targetId: made.result.targetId, flatten: true });
    for (;;) {
        const said = await browser.ask("Runtime.evaluate",
            { expression, awaitPromise: true, returnByValue: true }, attached.result.sessionId);
        const value = said.result && said.result.result && said.result.result.value;
        if (value && typeof value === "object" && value.verdict !== "early") {
            return Object.fromEntries(Object.entries(value).slice(0, 8)
                .map(([key, what]) => [key.slice(0, 20), String(what).slice(0, TEXT_MAX)]));
        }
        await pause(100);
    }
}

async function tryOne(mode, told, url) {
    const browser = (mode.browsers || told.browsers).map(which).find(Boolean);
    if (!browser) return { verdict: "no_browser" };
    const environment = { ...process.env };
    delete environment.DISPLAY;
    if (mode.needs_display) {
        if (!told.display) return { verdict: "no_display" };
        environment.DISPLAY = told.display;
    }
    let timer;
    const late = new Promise((yes) => {
        timer = setTimeout(() => yes({ verdict: "error", why: `no answer in ${told.limit_s} s` }),
            told.limit_s * 1000);
    });
    running = new Browser([browser, ...told.flags, ...mode.flags], environment);
    try {
        return await Promise.race([late, answer(running, url, told.expression)]);
    } catch (error) {
        const why = `the browser ended: ${running.complaint()}`.slice(0, TEXT_MAX);
        return { verdict: "error", why };
    } finally {
        clearTimeout(timer);
        await running.end();
    }
}

function remember(file, mode) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(`${file}.new`,
        `KEEPER_WEBGPU_MODE='${mode.mode}'\nKEEPER_WEBGPU_FLAGS='${mode.flags.join(" ")}'\n`);
    fs.renameSync(`${file}.new`, file);
}

async function main() {
    process.on("SIGTERM", () => {
        if (running) running.kill();
        process.exit(1);
    });
    const told = JSON.parse(process.argv[process.argv.length - 1]);
    const server = http.createServer((request, response) => {
        response.setHeader("Content-Type", "text/html");
        response.end("<!doctype html><title>keeper</title>");
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${server.address().port}/`;
    const results = [];
    let chosen = null;
    for (const mode of told.modes) {
        if (chosen) {
            results.push({ mode: mode.mode, verdict: "not_tried" });
            continue;
        }
        const result = await tryOne(mode, told, url);
        results.push({ mode: mode.mode, ...result });
        if (result.verdict === "hardware" || (result.verdict === "software" && told.allow_software)) {
            chosen = mode;
        }
    }
    if (chosen) remember(told.file, chosen);
    else fs.rmSync(told.file, { force: true }); // what a former life chose holds no more
    console.log(JSON.stringify({ chosen: chosen ? chosen.mode : "", results }));
    process.exit(0);
}

main();
