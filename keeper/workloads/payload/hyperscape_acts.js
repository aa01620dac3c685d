// What keeper does and asks on the duel's host, one verb at a time (keeper_verb). Every pid that is ended was
// found by its place in the process table and is looked at again, with its start time, before each signal.
// Exit codes: 0 done, 1 not yet or not possible, 2 cannot be told, 3 the workload refuses.
const pause = (ms) => new Promise((go) => setTimeout(go, ms));
const mine = path.resolve(config.dir, ".keeper");
const say = (text) => process.stdout.write(`${plain(text, 300)}\n`);

function end(code, text) {
    if (text) (code === 0 ? process.stdout : process.stderr).write(`${plain(text, 300)}\n`);
    process.exit(code);
}

const isSame = (one) => { const again = stat(one.pid); return again && again.start === one.start && !"ZX".includes(again.state); };

// kill ONE: with its group where it leads one (browser and ffmpeg go with the bridge). SIGKILL, because what
// is killed here has had its chance to end by itself.
async function kill(one) {
    const target = one.group === one.pid ? -one.pid : one.pid;
    for (let tries = 0; tries < 50 && isSame(one); tries += 1) {
        try { process.kill(target, "SIGKILL"); } catch (error) { /* gone */ }
        await pause(100);
    }
    return !isSame(one);
}

async function kill_bridge() {
    const found = bridge(processes());
    if (found) {
        if (!(await kill(found))) end(1, `the bridge (pid ${found.pid}) cannot be killed`);
        say(`the bridge (pid ${found.pid}) is ended`);
    }
    // Whoever keeps it begins it again: the orchestrator after 3 s, PM2 after its back-off.
    for (const until = up_ms() + config.respawn_s * 1000; up_ms() < until; await pause(200)) {
        const next = bridge(processes());
        if (next && (!found || next.start !== found.start || next.pid !== found.pid)) end(0, `a new bridge runs (pid ${next.pid})`);
    }
    end(1, "nobody has started the bridge again");
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

// After PM2 is gone: what it ran may live on and hold the port or the lock. Only what works inside our
// checkout is ended; a stranger on the port is told, not touched.
async function clear() {
    const top = path.resolve(config.dir);
    const within = (one) => {
        try {
            const cwd = fs.readlinkSync(`/proc/${one.pid}/cwd`);
            return cwd === top || cwd.startsWith(`${top}/`);
        } catch (error) { return false; }
    };
    // Not ourselves, and not those who called us: the shell of this very command stands in our folder.
    const callers = new Set([process.pid]);
    for (let one = stat(process.pid); one && one.parent > 1; one = stat(one.parent)) callers.add(one.parent);
    const runs = (one) => /\b(?:bun|node|vite|ffmpeg|chrome|chromium)\b/.test(commandLine(one.pid));
    const pm2 = (one) => /PM2 v/.test(commandLine(one.pid));
    for (const one of processes().filter((each) => !callers.has(each.pid) && within(each) && runs(each) && !pm2(each))) {
        if (!isSame(one)) continue; // it went with its group
        say(`ending ${one.pid}, left over: ${commandLine(one.pid).slice(0, 100)}`);
        if (!(await kill(one))) end(1, `process ${one.pid} cannot be killed`);
    }
    const lock = path.join(top, ".runtime-locks/duel-stack.json");
    try {
        const holder = stat(JSON.parse(fs.readFileSync(lock, "utf8")).pid);
        if (!holder || !within(holder)) { fs.rmSync(lock); say("a stale lock is removed"); }
    } catch (error) { /* none */ }
    const port = config.port;
    const stranger = listeners(port).find((one) => !callers.has(one.pid));
    if (stranger) end(1, `port ${port} is held by process ${stranger.pid}, which is not ours: ${commandLine(stranger.pid).slice(0, 100)}`);
    end(0, "nothing is left over");
}

// --- the admin interface: a wrong code is tried once ------------------------------------------------------
// Five wrong tries lock the operator out too, so a refusal is written down beside the checkout with a mark
// of the code (not the code), and the same code is not sent again.

const code = process.env.keeper_admin_code || "";
const codeMark = () => require("crypto").createHash("sha256").update(`keeper:${code}`).digest("hex").slice(0, 16);
const refusal = path.join(mine, "admin-refused");

async function admin(method, where, body, timeout_ms) {
    if (!code) return { code: -1, text: "no admin code is declared" };
    try {
        if (fs.readFileSync(refusal, "utf8").trim() === codeMark()) return { code: -3, text: "this admin code was refused before; it is not sent again" };
    } catch (error) { /* never refused */ }
    const reply = await ask(method, where, { headers: { "x-admin-code": code }, body: body ? JSON.stringify(body) : "", timeout_ms });
    if ([401, 403, 429].includes(reply.code)) {
        fs.mkdirSync(mine, { recursive: true });
        fs.writeFileSync(refusal, `${codeMark()}\n`, { mode: 0o600 });
        const why = reply.json && typeof reply.json.error === "string" ? reply.json.error : "";
        return { code: -3, text: `the server refuses the admin code (${reply.code} ${why})` };
    }
    return reply;
}

// Never in the way of a deploy: without a server, or without the right code, there is nothing to wait for.
async function maintenance_enter() {
    if ((await ask("GET", "/health")).code === 0) end(0, "no server answers; nothing to put into maintenance");
    const wait_ms = Number(process.env.keeper_wait_ms);
    const reply = await admin("POST", "/admin/maintenance/enter", { reason: "keeper deploys", timeoutMs: wait_ms }, wait_ms + 10000);
    const status = reply.json && reply.json.status ? reply.json.status : {};
    end(0, reply.code === 200 ? `maintenance entered; safe to deploy: ${status.safeToDeploy === true}` : `maintenance was not entered: ${reply.text || `code ${reply.code}`}`);
}

async function maintenance_exit() {
    if ((await ask("GET", "/health")).code === 0) end(0, "no server answers");
    const reply = await admin("POST", "/admin/maintenance/exit", {}, 20000);
    if (reply.code === 200) end(0, "maintenance is over");
    const health = await ask("GET", "/health");
    const isIn = health.json && health.json.maintenanceMode === true;
    end(isIn ? 1 : 0, `maintenance: ${reply.text || `code ${reply.code}`}`);
}

// Since when the server is up, as [earliest, latest] of what its answer can mean: it was on its way for a while.
async function upSince() {
    const asked = up_ms();
    const { json } = await ask("GET", "/status");
    const up = json && typeof json.uptime === "number" ? json.uptime * 1000 : null;
    return up === null ? null : [asked - up, up_ms() - up];
}
const drainFile = path.join(mine, "drain.json");

async function drain_begin() {
    const before = await upSince();
    if (before === null) end(2, "the server does not say since when it is up");
    const reply = await admin("POST", "/admin/graceful-restart", {}, 20000);
    if (reply.code === -3) end(3, reply.text);
    if (reply.code !== 200) end(2, `the server did not take the order: ${reply.text || `code ${reply.code}`}`);
    fs.mkdirSync(mine, { recursive: true });
    fs.writeFileSync(drainFile, JSON.stringify({ up_since: before[1] }));
    end(0, `restart ordered; the phase is ${plain((reply.json || {}).currentPhase || "?", 20)}`);
}

// The proof is that the server has been up for less time than before; "not pending" alone proves nothing.
async function drain_look() {
    let before = null;
    try { before = JSON.parse(fs.readFileSync(drainFile, "utf8")).up_since; } catch (error) { end(2, "no restart was ordered"); }
    const up = await upSince();
    if (up !== null && up[0] > before + 1000) { fs.rmSync(drainFile, { force: true }); end(0, "the server has restarted"); }
    if (up === null) end(1, "the server does not answer: it may be restarting");
    const reply = await admin("GET", "/admin/restart-status", null, 5000);
    if (reply.code === -3) end(3, reply.text);
    const pending = reply.json ? reply.json.pendingRestart : null;
    end(1, `pending ${pending}, phase ${plain((reply.json || {}).currentPhase || "?", 20)}`);
}

// Without an admin code: a moment at which nobody watches a fight.
async function boundary_look() {
    const state = await ask("GET", "/api/streaming/state");
    const phase = state.json && state.json.cycle ? plain(state.json.cycle.phase || "", 20) : "";
    if (!phase) end(2, `the phase cannot be read (code ${state.code})`);
    end(["IDLE", "ANNOUNCEMENT", "RESOLUTION"].includes(phase) ? 0 : 1, phase);
}

async function verify() {
    const wanted = config.commit;
    let saw = "";
    for (const until = up_ms() + Number(process.env.keeper_wait_ms); ; await pause(config.verify_every_ms)) {
        const [health, status] = await Promise.all([ask("GET", "/health"), ask("GET", "/status")]);
        const has = status.json && typeof status.json.commitHash === "string" ? status.json.commitHash : "";
        const isWanted = !wanted || (has.length >= 7 && (wanted.startsWith(has) || has.startsWith(wanted)));
        if (health.code === 200 && isWanted) end(0, `healthy, commit ${plain(has, 40)}`);
        saw = health.code === 200 ? `it answers with commit ${plain(has, 40)} instead of ${wanted}` : `/health answered with ${health.code}`;
        if (up_ms() > until) end(1, saw);
    }
}

// --- the report for a person who asks: six answers, a few kilobytes ------------------------------------------

async function report() {
    const [health, state, context, rtmp] = await Promise.all(
        ["/health", "/api/streaming/state", "/api/streaming/duel-context", "/api/streaming/rtmp/status"].map((each) => ask("GET", each)));
    const word = (value, most = 40) => (typeof value === "string" ? plain(value, most) : "");
    const error = (reply) => word(reply.json && reply.json.error, 80);
    const cycle = (context.json && context.json.cycle) || {};
    const stats = (rtmp.json && rtmp.json.stats) || {};
    const outputs = rtmp.json && Array.isArray(rtmp.json.destinations) ? rtmp.json.destinations.slice(0, 8) : [];
    const lines = [];
    for (const file of config.logs) {
        try {
            const full = path.resolve(config.dir, file), size = fs.statSync(full).size;
            const handle = fs.openSync(full, "r"), bytes = Buffer.alloc(Math.min(size, 8192));
            fs.readSync(handle, bytes, 0, bytes.length, size - bytes.length);
            fs.closeSync(handle);
            lines.push(...bytes.toString("utf8").split("\n").filter(Boolean).slice(-3).map((line) => plain(line, 160)));
        } catch (missing) { /* no such log */ }
    }
    process.stdout.write(`${JSON.stringify({
        health: { code: health.code, status: word(health.json && health.json.status), maintenance: (health.json || {}).maintenanceMode === true },
        state: { code: state.code, error: error(state), phase: word(((state.json || {}).cycle || {}).phase, 20) },
        context: { code: context.code, error: error(context), phase: word(cycle.phase, 20), one: word((cycle.agent1 || {}).name), other: word((cycle.agent2 || {}).name) },
        bridge: {
            code: rtmp.code, error: error(rtmp), ffmpeg: rtmp.json && typeof rtmp.json.ffmpegRunning === "boolean" ? rtmp.json.ffmpegRunning : null,
            bytes: typeof stats.bytesReceived === "number" ? stats.bytesReceived : null,
            outputs: outputs.length, down: outputs.filter((each) => each && (each.error || each.connected === false)).map((each) => word(each.name, 24)),
        },
        apps: config.apps.map((name) => { const one = app(name); return { name, pid: one ? one.pid : 0, for_s: one ? Math.floor(age_ms(one) / 1000) : 0 }; }),
        logs: lines.slice(-6),
    })}\n`);
    process.exit(0);
}

const verbs = { kill_bridge, clear, maintenance_enter, maintenance_exit, drain_begin, drain_look, boundary_look, verify, report };
verbs[process.env.keeper_verb]();
