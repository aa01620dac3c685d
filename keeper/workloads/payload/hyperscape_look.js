// The duel's own questions on its host: one look, reduced to what a judgement needs, a few hundred bytes.
// In: keeper_config, keeper_process (what the manager says), keeper_memory (what the last look left).
// Out: two lines, the memory for the next look and the facts. It writes nothing and starts nothing.
// Ages are zero while they are ordinary and grow in steps afterwards, so that a good stream is silent.
const memory = (() => { try { return JSON.parse(process.env.keeper_memory || "{}"); } catch (error) { return {}; } })();
const now = up_ms();
const wall = Date.now(); // only beside times that the workload itself has told
const LOG_MAX = 131072;
const TEXT_MAX = 110;
memory.looks = (memory.looks || 0) + 1;
memory.since = memory.since || {};
memory.log = memory.log || {};
memory.files = memory.files || {};

// The memory goes to the next look by environment, which has its end: what a server says is kept in brief.
const brief = (value) => (typeof value === "number" ? value : String(value).slice(0, 200));
// since NAME HOLDS: for how many milliseconds something has held, as far as these looks saw.
function since(name, holds) {
    if (!holds) { delete memory.since[name]; return 0; }
    memory.since[name] = memory.since[name] || now;
    return now - memory.since[name];
}
// same NAME VALUE: for how long a value has not changed.
function same(name, value) {
    const key = `${name}:`, known = memory.since[key], kept = brief(value);
    if (!known || known[0] !== kept) { memory.since[key] = [kept, now]; return 0; }
    return now - known[1];
}
const steps = (ms) => (ms < config.calm_s * 1000 ? 0 : Math.floor(ms / 1000 / config.step_s) * config.step_s);
const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

// --- the logs: what is new in them, by lines that mean something ---------------------------------------

// [name, lines, what it ends]. `sticky`: it holds until another line ends it, however old it is. Errors are
// read before the rest, so what ends something is a line that comes once, long before it could come again:
// "Loaded N destinations" is said by each new bridge, "Using FFmpeg command" by each of its attempts.
const LINES = [
    ["db", /\b53300\b|too many clients already|remaining connection slots/i],
    ["port_held", /EADDRINUSE|address already in use/i],
    ["other_stack", /Another duel stack is already running/],
    ["bad_build", /Cannot find module|SyntaxError|Missing required environment|Environment variable .* (?:is )?(?:required|missing)/i],
    ["no_space", /ENOSPC|No space left on device/i],
    ["dns", /ENOTFOUND|EAI_AGAIN|Temporary failure in name resolution/],
    ["clock", /certificate (?:is not yet valid|has expired)|CERT_NOT_YET_VALID|CERT_HAS_EXPIRED/i],
    ["gpu_memory", /OUT_OF_DEVICE_MEMORY|CUDA out of memory|GPUOutOfMemory/i],
    ["encoder", /OpenEncodeSession|no capable devices/i],
    ["vulkan_dir", /INCOMPATIBLE_DRIVER|XDG_RUNTIME_DIR (?:is )?(?:invalid|not set)/i],
    ["webgpu", /WebGPU\W+preflight.*FAILED|PREFLIGHT FAILED|error:webgpu_required/i, [], "sticky"],
    ["software", /WebGPU\W+preflight.*PASSED.*(?:swiftshader|llvmpipe|lavapipe)|SOFTWARE RENDERING/i, ["webgpu"], "sticky"],
    ["hardware", /WebGPU\W+preflight.*PASSED(?!.*(?:swiftshader|llvmpipe|lavapipe))/i, ["webgpu", "software"]],
    ["page_timeout", /(?:page\.goto|navigation).*timeout|timeout \d{5,6}\s?ms exceeded/i],
    ["no_canvas", /Could not find a game canvas/],
    ["chrome_missing", /Executable doesn't exist|Failed to launch the browser|browserType\.launch/i],
    ["no_outputs", /No RTMP outputs configured/, [], "sticky"],
    ["outputs", /Loaded [1-9]\d* destinations/, ["no_outputs", "gave_up", "refused"]],
    ["stalled", /capture stalled|No data received for \d+s/i],
    ["flipped", /CDP restart failed|Falling back to MediaRecorder/],
    ["placeholder", /Entering placeholder mode/, [], "sticky"],
    ["picture_again", /Exiting placeholder mode/, ["placeholder"]],
    ["rotation", /Scheduled browser rotation/],
    ["gave_up", /FFmpeg crashed .*Giving up/, [], "sticky"],
    ["segfault", /FFmpeg crashed with code (?:139|-11|SIGSEGV)/],
    ["refused", /NetStream\.Publish\.(?:BadName|Denied|Rejected)|authentication failed|Server error: .*(?:denied|reject|invalid)|invalid stream key|401 Unauthorized|403 Forbidden/i, [], "sticky"],
    ["slave_failed", /Slave muxer #\d+ failed|\[fifo.*Recovery failed/],
    ["slow", /speed=\s*0\.[0-8]\d*x|CDP FPS: [0-4](?:\.\d+)?\b/],
    ["fast_enough", /speed=\s*(?:0\.9|[1-9])/, ["slow"]],
    ["capturing", /Screencast capture started/, ["stalled", "flipped", "placeholder", "chrome_missing"]],
    ["on_air", /Streaming active!/, ["page_timeout", "no_canvas", "chrome_missing", "vulkan_dir", "stalled", "flipped", "placeholder"]],
];
const STICKY = new Set(LINES.filter((each) => each[3]).map((each) => each[0]));
const IS_NEWS = new Set(["hardware", "outputs", "picture_again", "fast_enough", "capturing", "on_air"]);

// What a bridge that is begun again leaves behind.
const OF_BRIDGE = ["gave_up", "segfault", "refused", "stalled", "flipped", "placeholder", "encoder", "gpu_memory", "slow", "slave_failed"];

// forget: what was said before the stack, or its bridge, was begun again says nothing of the new one. PM2's
// own pid tells the first, because whoever cures the stack ends PM2 too.
function forget(found) {
    let daemon = "";
    try { daemon = fs.readFileSync(path.join(home(), "pm2.pid"), "utf8").trim(); } catch (error) { /* none */ }
    if (daemon && memory.daemon && daemon !== memory.daemon) { memory.log = {}; memory.since = {}; delete memory.fight; memory.still_fights = 0; }
    if (daemon) memory.daemon = daemon;
    const id = found ? `${found.pid}:${found.start}` : "";
    if (id && memory.bridge && id !== memory.bridge) for (const name of OF_BRIDGE) delete memory.log[name];
    if (id) memory.bridge = id;
}

function read(file) {
    const known = memory.files[file];
    let text = "";
    try {
        const handle = fs.openSync(file, "r");
        try {
            const { ino, size } = fs.fstatSync(handle);
            const isSame = known && known[0] === ino && known[1] <= size;
            // At first only what still holds is looked for in the past; a file that is new is all new.
            let at = isSame ? known[1] : known ? 0 : Math.max(0, size - config.backlog_bytes);
            at = Math.max(at, size - LOG_MAX);
            const bytes = Buffer.alloc(Math.max(0, size - at));
            const got = fs.readSync(handle, bytes, 0, bytes.length, at);
            const end = bytes.lastIndexOf(10, got - 1) + 1;
            text = bytes.toString("utf8", 0, end);
            memory.files[file] = [ino, end === 0 && got > 65536 ? at + got : at + end];
        } finally { fs.closeSync(handle); }
    } catch (error) { return; }
    for (const line of text.split("\n")) if (line) heed(line.slice(0, 2000), Boolean(known) || memory.looks > 1);
}

function heed(line, isNew) {
    for (const [name, pattern, ends = []] of LINES) {
        if (!pattern.test(line)) continue;
        for (const ended of ends) delete memory.log[ended];
        if (IS_NEWS.has(name) || !(isNew || STICKY.has(name))) continue;
        const seen = memory.log[name] || { n: 0, first: now };
        memory.log[name] = { n: Math.min(99, seen.n + 1), first: seen.first, last: now, text: plain(line, TEXT_MAX) };
    }
}

function log() {
    const shown = {};
    // What was said of a full disk before it was trimmed is answered.
    if (memory.log.no_space && (left("trimmed") || {}).at > memory.log.no_space.last) delete memory.log.no_space;
    for (const [name, seen] of Object.entries(memory.log)) {
        if (!STICKY.has(name) && now - seen.last > config.keep_s * 1000) { delete memory.log[name]; continue; }
        shown[name] = { n: Math.min(5, seen.n), for_s: steps(now - seen.first), text: seen.text };
    }
    return Object.fromEntries(Object.entries(shown).slice(0, 10));
}

// --- the parts -----------------------------------------------------------------------------------------

function cycle(reply) {
    const facts = { code: reply.code };
    const of = reply.json && reply.json.cycle;
    const error = reply.json && typeof reply.json.error === "string" ? reply.json.error : "";
    if (error) facts.error = /not active/i.test(error) ? "not_active" : /warmup/i.test(error) ? "warmup" : "other";
    if (reply.code !== 200 || !of || typeof of !== "object") { facts.phase = ""; return facts; }
    const phase = plain(of.phase || "", 20);
    facts.phase = phase;
    facts.idle_s = steps(since("idle", phase === "IDLE"));
    if (phase && phase !== "IDLE") {
        const length_ms = (config.phases_s[phase] || 0) * 1000;
        const end = number(of.phaseEndTime);
        const held_ms = same("phase", `${phase}/${of.phaseVersion}/${of.cycleId}`);
        // A clock that is set makes nothing late: it is late for as long as these looks have seen it so.
        const past_ms = Math.min(end ? wall - end : 0, since("late", Boolean(end) && wall > end));
        const late_ms = Math.max(past_ms, length_ms ? held_ms - length_ms : 0);
        facts.late_s = late_ms < config.margin_s * 1000 ? 0 : steps(late_ms);
    }
    fight(of, phase, facts);
    return facts;
}

// Whether blows fall: in this fight, and how many fights in a row were without any.
function fight(of, phase, facts) {
    const one = of.agent1 || {}, other = of.agent2 || {}, id = brief(of.cycleId);
    const blows = [one.hp, other.hp, one.attacksLanded, other.attacksLanded].map((each) => String(each).slice(0, 20)).join("/");
    facts.still_s = 0;
    if (phase === "FIGHTING") {
        if (!memory.fight || memory.fight.id !== id) memory.fight = { id, first: blows, moved: false };
        else if (blows !== memory.fight.first) { memory.fight.moved = true; memory.still_fights = 0; }
        const still_ms = same("blows", `${blows}:${id}`);
        memory.fight.still = still_ms >= config.still_s * 1000;
        if (memory.fight.still) facts.still_s = steps(still_ms);
    } else if (memory.fight) {
        if (!memory.fight.moved && memory.fight.still) memory.still_fights = Math.min(9, (memory.still_fights || 0) + 1);
        delete memory.fight;
    }
    facts.still_fights = memory.still_fights || 0;
}

// Three forms of one answer; what a form lacks is not known.
function bridgeFacts(reply, found) {
    const facts = { seen: "unknown" };
    facts.alive = found ? true : app(config.app) ? false : null;
    facts.is_young = found ? age_ms(found) < config.bridge_start_s * 1000 : null;
    const status = reply.code === 200 ? reply.json : null;
    if (!status) {
        if (reply.code === 503) facts.seen = "absent";
        facts.absent_s = steps(since("absent", reply.code === 503));
        return facts;
    }
    since("absent", false);
    facts.seen = "ok";
    const stats = status.stats && typeof status.stats === "object" ? status.stats : {};
    const bytes = number(stats.bytesReceived);
    if (bytes === null) facts.flat_s = null;
    else facts.flat_s = steps(same("bytes", bytes));
    facts.ffmpeg = typeof status.ffmpegRunning === "boolean" ? status.ffmpegRunning : null;
    const all = Array.isArray(status.destinations) ? status.destinations.slice(0, 8) : [];
    const isBad = (each) => Boolean(each && (each.error || each.connected === false));
    facts.outputs = all.length;
    facts.down = all.filter(isBad).map((each) => plain(each.name || "?", 24).replace(/[^\w.-]/g, "_"));
    facts.down_s = steps(since("down", facts.down.length > 0));
    const health = status.rendererHealth && typeof status.rendererHealth === "object" ? status.rendererHealth : null;
    let reason = "";
    if (health) {
        if (health.ready === false) reason = plain(health.degradedReason || "unknown", 60);
        else if (number(health.updatedAt) && wall - health.updatedAt > config.stale_s * 1000) reason = "renderer_health_stale";
    }
    facts.degraded = reason;
    facts.degraded_s = reason ? steps(same("degraded", reason)) : 0;
    if (!reason) delete memory.since["degraded:"];
    const source = status.source && typeof status.source === "object" ? status.source : status;
    const visual = number(source.lastVisualChangeAt);
    facts.still_picture_s = visual ? steps(wall - visual) : null;
    facts.is_old = number(status.startedAt) ? wall - status.startedAt > config.stream_max_s * 1000 : false;
    return facts;
}

function hls(reply) {
    if (!config.hls) return null;
    if (reply.code !== 200) return { seen: false, flat_s: steps(since("no_hls", reply.code !== 0)) };
    since("no_hls", false);
    const sequence = /#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(reply.text);
    const last = reply.text.trim().split("\n").pop();
    return { seen: true, flat_s: steps(same("hls", `${sequence ? sequence[1] : ""} ${last.slice(0, 200)}`)) };
}

function display() {
    if (!config.display) return Promise.resolve(null);
    return new Promise((resolve) => {
        const socket = require("net").connect(`/tmp/.X11-unix/X${config.display.replace(/^.*:|\..*$/g, "")}`);
        const finish = (value) => { clearTimeout(alarm); socket.destroy(); resolve(value); };
        const alarm = setTimeout(() => finish(false), config.timeout_ms);
        socket.on("connect", () => finish(true));
        socket.on("error", () => finish(false));
    });
}

// Costs a process, so only now and then; what it said last stands meanwhile.
function sound() {
    if (!config.audio) return null;
    if (memory.looks % config.sound_looks !== 1 && config.sound_looks > 1) return memory.sound ?? null;
    try {
        const listed = require("child_process").execFileSync("pactl", ["list", "short", "sources"], {
            timeout: config.timeout_ms, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], env: { ...process.env, ...config.sound_env },
        });
        memory.sound = listed.split(/\s+/).includes(config.audio);
    } catch (error) { memory.sound = error.code === "ENOENT" ? null : false; }
    return memory.sound;
}

// PM2 gives a restarted app the environment of its first start; a new key does not reach it (PM2 7.0.4).
function hasOldEnvironment(one) {
    if (!one || !config.mark) return null;
    try {
        const found = fs.readFileSync(`/proc/${one.pid}/environ`, "utf8").split("\0").find((each) => each.startsWith("KEEPER_MARK="));
        return found ? found.slice(12) !== config.mark : null;
    } catch (error) { return null; }
}

function held_mb(one) {
    try {
        const mb = Number(fs.readFileSync(`/proc/${one.pid}/statm`, "utf8").split(" ")[1]) * 4096 / 1048576;
        return mb < config.memory_mb ? 0 : Math.floor(mb / 100) * 100;
    } catch (error) { return 0; }
}

// Whether the stack was ever started here: PM2 begins the logs with it, and a deploy ends with `pm2 save`.
function isDeployed() {
    return config.logs.some((file) => fs.existsSync(path.resolve(config.dir, file))) || fs.existsSync(path.join(home(), "dump.pm2"));
}

async function look() {
    const own = app(config.app), found = bridge(processes());
    forget(found);
    for (const file of config.logs) read(path.resolve(config.dir, file));
    const [health, status, state, rtmp, list, shown] = await Promise.all([
        ask("GET", "/health"), ask("GET", "/status"), ask("GET", "/api/streaming/state"), ask("GET", "/api/streaming/rtmp/status"),
        config.hls ? ask("GET", config.hls) : { code: 0, text: "" }, display(),
    ]);
    const facts = {
        process: process.env.keeper_process || "unknown",
        is_deployed: health.code !== 0 || isDeployed(),
        is_young: own ? age_ms(own) < config.start_s * 1000 : null,
        server: { code: health.code, silent_s: steps(since("silent", health.code === 0)) },
        commit: status.json && typeof status.json.commitHash === "string" ? plain(status.json.commitHash, 40) : "",
        state: cycle(state),
        bridge: bridgeFacts(rtmp, found),
        hls: hls(list),
        has_display: shown,
        has_sound: sound(),
        has_old_environment: hasOldEnvironment(own),
        memory_mb: own ? held_mb(own) : 0,
        log: log(),
    };
    if (health.json && health.json.database && typeof health.json.database.healthy === "boolean") facts.server.db = health.json.database.healthy;
    if (health.json && typeof health.json.maintenanceMode === "boolean") facts.server.maintenance = health.json.maintenanceMode;
    if (facts.server.maintenance) facts.server.by_keeper = (left("maintenance") || {}).server === nameOf(server());
    facts.rotating = Boolean(memory.log.rotation && now - memory.log.rotation.last < config.rotation_s * 1000);
    // The whole line has its bound: the words of the log go first.
    for (const name of Object.keys(facts.log).reverse()) {
        if (JSON.stringify(facts).length < 2600) break;
        facts.log[name].text = "";
    }
    process.stdout.write(`${JSON.stringify(memory)}\n${JSON.stringify(facts)}\n`);
    process.exit(0);
}
look();
