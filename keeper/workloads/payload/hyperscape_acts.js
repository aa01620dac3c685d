// What keeper does and asks on the duel's host, one verb at a time (keeper_verb). Every pid that is ended was
// found by its place in the process table and is looked at again, with its start time, before each signal.
// Exit codes: 0 done, 1 not yet or not possible, 2 cannot be told, 3 the workload refuses.
const pause = (ms) => new Promise((go) => setTimeout(go, ms));
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

// After PM2 is gone: what it ran may live on and hold the port or the lock. Only what works inside our
// checkout is ended; a stranger on the port is told, not touched.
async function clear() {
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
    const lock = path.join(config.dir, ".runtime-locks/duel-stack.json");
    try {
        const holder = stat(JSON.parse(fs.readFileSync(lock, "utf8")).pid);
        if (!holder || !within(holder)) { fs.rmSync(lock); say("a stale lock is removed"); }
    } catch (error) { /* none */ }
    const port = config.port;
    const stranger = listeners(port).find((one) => !callers.has(one.pid));
    if (stranger) end(1, `port ${port} is held by process ${stranger.pid}, which is not ours: ${commandLine(stranger.pid).slice(0, 100)}`);
    end(0, "nothing is left over");
}

// --- a full disk ---------------------------------------------------------------------------------------------

const ROOM_MIN_MB = 500; // below it the sentinel calls a disk full
const LOG_KEPT = 262144, LOG_SMALL = 1048576, SEGMENT_OLD_MS = 600000;

function listed(folder, pattern) {
    try { return fs.readdirSync(folder).filter((name) => pattern.test(name)).map((name) => path.join(folder, name)); } catch (error) { return []; }
}

// trim: what is ours and nobody misses. A log keeps its end beside it, so that what it has said is not said anew.
function trim() {
    const at_home = (where) => path.resolve(process.env.HOME || "/root", where);
    const logs = [...config.logs.map((file) => path.resolve(config.dir, file)), ...listed(path.join(home(), "logs"), /\.log$/), path.join(home(), "pm2.log")];
    for (const log of logs) {
        try {
            const size = fs.statSync(log).size;
            if (size < LOG_SMALL) continue;
            const handle = fs.openSync(log, "r"), end = Buffer.alloc(LOG_KEPT);
            fs.readSync(handle, end, 0, LOG_KEPT, size - LOG_KEPT);
            fs.closeSync(handle);
            fs.truncateSync(log);
            fs.writeFileSync(`${log}.1`, end);
        } catch (error) { /* none, or no room for its end */ }
    }
    const live = path.join(config.dir, "packages/server/public", path.dirname(config.hls || "/live/x"));
    const isOld = (file) => { try { return Date.now() - fs.statSync(file).mtimeMs > SEGMENT_OLD_MS; } catch (error) { return false; } };
    const gone = [
        `${at_home(config.deploy_log)}.1`, ...listed(path.join(config.dir, "logs"), /\.log\.[2-9]/), ...listed(live, /\.ts$/).filter(isOld),
        ...[".npm/_cacache", ".cache/pip", ".bun/install/cache"].map(at_home), ...listed("/var/cache/apt/archives", /\.deb$/),
    ];
    for (const each of gone) { try { fs.rmSync(each, { recursive: true, force: true }); } catch (error) { /* not ours to remove */ } }
    leave("trimmed", { at: up_ms() });
    const disk = fs.statfsSync ? fs.statfsSync(config.dir) : null;
    const free_mb = disk ? Math.floor((disk.bavail * disk.bsize) / 1048576) : null;
    if (free_mb !== null && free_mb < ROOM_MIN_MB) end(1, `own logs and caches are trimmed, and ${free_mb} MB are free: what fills the disk is not keeper's to remove`);
    end(0, `own logs and caches are trimmed; ${free_mb === null ? "some" : free_mb} MB are free`);
}

// --- the admin interface: a wrong code is tried once ------------------------------------------------------
// Five wrong tries lock the operator out too. What one process of the server has refused is written down
// beside the checkout with a mark of the code (not the code), and is not sent to that process again. Another
// process may have been given another code.

const declared = process.env.keeper_admin_code || "";
const markOf = (code) => require("crypto").createHash("sha256").update(`keeper:${code}`).digest("hex").slice(0, 16);
const NOT_DECLARED = -1, REFUSED = -3, LOCKED = -4, CLOSED = -5;
const LOCKED_MS = 300000, LOCKED_MAX_MS = 600000; // what the server says, within reason (2026-03: five minutes)
const HOUR_MS = 3600000;

// Says whether it could be written down: a full disk must not be in the way of what is to end it.
function leave(name, what) {
    try {
        fs.mkdirSync(mine, { recursive: true });
        fs.writeFileSync(path.join(mine, `${name}.new`), `${JSON.stringify(what)}\n`, { mode: 0o600 });
        fs.renameSync(path.join(mine, `${name}.new`), path.join(mine, name));
        return true;
    } catch (error) { return false; }
}
const forgetThat = (name) => fs.rmSync(path.join(mine, name), { force: true });

// What this process of the server has refused, and until when it lets nobody in.
function refusals(name) {
    const known = left("admin-refused") || {};
    // One that cannot be found may be another each time: then it counts for an hour.
    const holds = known.server === name && (name || Math.abs(up_ms() - known.at) < HOUR_MS);
    return holds && Array.isArray(known.marks) ? known : { server: name, marks: [], locked_until: 0 };
}

// The code that the server was started with: by its environment, else by the files that it reads. While a code
// is changed, the server before is not opened by the new one.
function startedWith(one) {
    try {
        const all = fs.readFileSync(`/proc/${one.pid}/environ`, "utf8").split("\0");
        const found = all.find((each) => each.startsWith("ADMIN_CODE="));
        if (found) return found.slice(11);
    } catch (error) { /* none, or not ours to read */ }
    for (const file of [config.env_file && path.resolve(config.dir, config.env_file), path.resolve(process.env.HOME || "/root", config.secrets_file)]) {
        try {
            const line = fs.readFileSync(file, "utf8").split("\n").find((each) => each.startsWith("ADMIN_CODE="));
            // As shells take it: pieces, bare or quoted.
            if (line) return line.slice(11).replace(/'([^']*)'|"([^"]*)"/g, (_, single, double) => single ?? double);
        } catch (error) { /* no such file */ }
    }
    return "";
}

// admin: as ask(), or one of the codes above with a text. `isRotating`: the server's own code before ours.
async function admin(method, where, body, timeout_ms, isRotating = false) {
    if (!declared) return { code: NOT_DECLARED, text: "no admin code is declared" };
    const one = server(), known = refusals(nameOf(one));
    const left_ms = known.locked_until - up_ms();
    if (left_ms > 0) return { code: LOCKED, retry_ms: left_ms, text: `the admin calls are locked for another ${Math.ceil(left_ms / 1000)} s` };
    let said = { code: REFUSED, text: "this server has refused the admin code before; it is not sent again" };
    for (const code of new Set([isRotating ? startedWith(one) : "", declared])) {
        if (!code || known.marks.includes(markOf(code))) continue;
        const reply = await ask(method, where, { headers: { "x-admin-code": code }, body: body ? JSON.stringify(body) : "", timeout_ms });
        const why = reply.json && typeof reply.json.error === "string" ? reply.json.error : "";
        if (reply.code === 429) { // it says nothing of the code: others have tried wrong ones
            const told_ms = reply.json && Number.isFinite(reply.json.retryAfter) ? reply.json.retryAfter * 1000 : LOCKED_MS;
            const retry_ms = Math.min(LOCKED_MAX_MS, Math.max(1000, told_ms));
            leave("admin-refused", { ...known, at: up_ms(), locked_until: up_ms() + retry_ms });
            return { code: LOCKED, retry_ms, text: `the admin calls are locked for ${Math.ceil(retry_ms / 1000)} s (429 ${why})` };
        }
        if (reply.code === 403 && /not configured/i.test(why)) return { code: CLOSED, text: `the server has no admin code (${why})` };
        if (reply.code !== 401 && reply.code !== 403) return reply;
        known.marks = [...known.marks, markOf(code)].slice(-8);
        leave("admin-refused", { ...known, at: up_ms() });
        said = { code: REFUSED, text: `the server refuses the admin code (${reply.code} ${why})` };
    }
    return said;
}

// The same, and once more when a lock is over, as far as there is time for it.
async function admin_in_time(until, where, body, timeout_ms) {
    for (;;) {
        const reply = await admin("POST", where, body(), timeout_ms(), true);
        if (reply.code !== LOCKED || up_ms() + reply.retry_ms > until) return reply;
        await pause(reply.retry_ms);
    }
}

const isIn = async () => { const { json } = await ask("GET", "/health"); return json ? json.maintenanceMode : undefined; };

// Never in the way of a deploy: without a server, or without the right code, there is nothing to wait for.
// That it was us is written down first: who is cut off here must know afterwards what to take back.
async function maintenance_enter() {
    const health = await ask("GET", "/health");
    if (health.code === 0) end(0, "no server answers; nothing to put into maintenance");
    const by = left("maintenance"), name = nameOf(server());
    const isTheirs = health.json && health.json.maintenanceMode === true && !(by && by.server === name);
    if (isTheirs) forgetThat("maintenance");
    else if (!leave("maintenance", { server: name })) end(0, "maintenance was not entered: that it was cannot be written down");
    const until = up_ms() + Number(process.env.keeper_wait_ms);
    const left_ms = () => Math.max(0, until - up_ms());
    const reply = await admin_in_time(until, "/admin/maintenance/enter",
        () => ({ reason: "keeper deploys", timeoutMs: left_ms() }), () => left_ms() + 10000);
    if (reply.code !== 200 && (await isIn()) !== true) forgetThat("maintenance");
    const status = reply.json && reply.json.status ? reply.json.status : {};
    const whose = isTheirs ? "; somebody else had entered it, and it is left to them" : "";
    end(0, reply.code === 200 ? `maintenance entered; safe to deploy: ${status.safeToDeploy === true}${whose}` : `maintenance was not entered: ${reply.text || `code ${reply.code}`}`);
}

async function maintenance_exit() {
    const health = await ask("GET", "/health");
    if (health.code === 0) end(0, "no server answers");
    if (health.json && health.json.maintenanceMode === false) { forgetThat("maintenance"); end(0, "the server is not in maintenance"); }
    if (!left("maintenance")) end(0, "keeper has not put the server into maintenance; it is left to whoever has");
    const until = up_ms() + Number(process.env.keeper_wait_ms);
    const reply = await admin_in_time(until, "/admin/maintenance/exit", () => ({}), () => 20000);
    if (reply.code === 200 || (await isIn()) === false) { forgetThat("maintenance"); end(0, "maintenance is over"); }
    end(1, `the server is still in maintenance: ${reply.text || `code ${reply.code}`}`);
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
    if (reply.code === REFUSED) end(3, reply.text);
    if (reply.code === LOCKED) end(1, reply.text);
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
    if (reply.code === REFUSED) end(3, reply.text);
    if (reply.code < 0) end(1, reply.text);
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

const verbs = { kill_bridge, clear, trim, maintenance_enter, maintenance_exit, drain_begin, drain_look, boundary_look, verify, report };
if (!verbs[process.env.keeper_verb]) end(2, `keeper's program on this host knows no ${process.env.keeper_verb}`);
verbs[process.env.keeper_verb]();
