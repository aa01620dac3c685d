// The game server's HTTP interface, its phase clock and two fighters.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";

const env = process.env;
const ms = (name, standard) => Number(env[name] || standard);
const PORT = ms("PORT", 5555);
const LENGTH = {
    ANNOUNCEMENT: ms("STREAMING_ANNOUNCEMENT_MS", 30000),
    COUNTDOWN: ms("STREAMING_COUNTDOWN_MS", 300),
    FIGHTING: ms("STREAMING_FIGHTING_MS", 150000) + ms("STREAMING_END_WARNING_MS", 10000),
    RESOLUTION: ms("STREAMING_RESOLUTION_MS", 5000),
};
const NEXT = { IDLE: "ANNOUNCEMENT", ANNOUNCEMENT: "COUNTDOWN", COUNTDOWN: "FIGHTING", FIGHTING: "RESOLUTION", RESOLUTION: "ANNOUNCEMENT" };
const STATUS_FILE = env.RTMP_STATUS_FILE || ".runtime-locks/rtmp-status.json";
const MAX_AGE_MS = Math.max(ms("RTMP_STATUS_MAX_AGE_MS", 15000), ms("RTMP_STATUS_MIN_AGE_MS", 5000));
const has = (fault) => fs.existsSync(`faults/${fault}`);
const started = Date.now();
fs.writeFileSync(".runtime-locks/game-server", String(process.pid));

// --- the duel ---------------------------------------------------------------------------------------

let phase = "IDLE", version = 0, cycle = 0, since = started, until = started + 200;
let maintenance = null, pending = false;
const fighter = (id, name) => ({
    id, name, provider: "openai", model: "m", hp: 99, maxHp: 99, combatLevel: 60, wins: 1, losses: 1,
    damageDealtThisFight: 0, highestHit: 0, attacksLanded: 0, healsUsed: 0, equipment: {}, inventory: [], rank: 1,
});
let fighters = [fighter("a1", "Ada"), fighter("b2", "Bo <b>")];

function enter(next) {
    phase = next; since = Date.now(); version += 1;
    until = since + (LENGTH[next] || 0);
    if (next === "ANNOUNCEMENT") { cycle += 1; fighters = [fighter("a1", "Ada"), fighter("b2", "Bo <b>")]; }
}

setInterval(() => {
    if (has("block")) { fs.rmSync("faults/block"); for (;;); }                      // latched
    if (has("crash")) { fs.rmSync("faults/crash"); console.error("TypeError: x is not a function"); process.exit(1); }
    // Not in a fight: there nobody would strike either, which is a failure of its own and may be told first.
    if ((has("stuck_phase") && phase !== "FIGHTING") || latched.stuck) { latched.stuck = true; fs.rmSync("faults/stuck_phase", { force: true }); return; }
    if (has("no_fighters") || maintenance) { if (phase !== "IDLE") { phase = "IDLE"; version = 0; since = until = Date.now(); } return; }
    if (phase === "FIGHTING" && !latched.still) {
        if (has("stand_still")) { latched.still = true; fs.rmSync("faults/stand_still"); return; }
        const [one, other] = Math.random() < 0.5 ? fighters : [...fighters].reverse();
        other.hp = Math.max(1, other.hp - 1 - Math.floor(Math.random() * 3));
        one.attacksLanded += 1; one.damageDealtThisFight = 99 - other.hp;
    }
    if (Date.now() >= until) {
        if (pending && (phase === "RESOLUTION" || phase === "IDLE")) return restart();
        enter(NEXT[phase]);
    }
}, 100);
const latched = { stuck: false, still: false };

function restart() { setTimeout(() => process.kill(process.pid, "SIGTERM"), 200); pending = false; }

const cycleNow = () => ({
    cycleId: `c-${cycle}`, phase, cycleStartTime: since,
    phaseStartTime: phase === "IDLE" ? Date.now() : since, phaseEndTime: phase === "IDLE" ? Date.now() : until,
    phaseVersion: phase === "IDLE" ? 0 : version, timeRemaining: Math.max(0, until - Date.now()),
    agent1: phase === "IDLE" ? null : fighters[0], agent2: phase === "IDLE" ? null : fighters[1],
    duelId: `d-${cycle}`, countdown: null, fightStartTime: since, duelEndTime: null, arenaPositions: null,
    winnerId: null, winnerName: null, winReason: null,
});

// --- what is asked ------------------------------------------------------------------------------------

const build = () => { try { return fs.readFileSync("dist/commit", "utf8").trim(); } catch { return "unknown"; } };

function rtmpStatus() {
    const form = env.DUEL_STATUS_FORM || "2";
    const own = { // form 1: the bridge inside this process
        active: true, startedAt: started, destinations: [{ name: "twitch", connected: true, bytesWritten: 0 }],
        ffmpegRunning: true, clientConnected: true,
        stats: { bytesReceived: Date.now() - started, bytesReceivedMB: 0, uptimeSeconds: 1, destinations: 1, healthy: true,
            droppedFrames: 0, backpressured: false, spectators: 0, processMemory: {} },
    };
    if (form === "1") return [200, own];
    try {
        const text = fs.readFileSync(STATUS_FILE, "utf8");
        const status = JSON.parse(text);
        if (Date.now() - status.updatedAt > MAX_AGE_MS) throw new Error("stale");
        if (form === "2") return [200, status];
        const { destinations, stats, updatedAt, rendererHealth } = status;
        return [200, { destinations, stats, updatedAt, rendererHealth }];
    } catch { return [503, { error: "RTMP bridge unavailable" }]; }
}

let wrong = [], locked = 0;
const given = (fault) => { try { return fs.readFileSync(`faults/${fault}`, "utf8"); } catch { return ""; } };
function refused(request) {
    fs.appendFileSync("logs/admin.log", `${request.method} ${request.url}\n`);
    const code = given("admin_code") || env.ADMIN_CODE; // one that nobody on this host knows
    if (!code || has("no_admin_code")) return [403, { error: "Admin panel not configured" }];
    if (Date.now() < locked) return [429, { error: "Too many failed attempts", retryAfter: Math.ceil((locked - Date.now()) / 1000) }];
    if (request.headers["x-admin-code"] === code) return null;
    wrong = [...wrong.filter((at) => Date.now() - at < 60000), Date.now()];
    if (wrong.length >= 5) { wrong = []; locked = Date.now() + Number(given("lock_s") || 300) * 1000; }
    return [403, { error: "Unauthorized" }];
}
const maintenanceNow = () => ({
    active: maintenance !== null, enteredAt: maintenance?.at ?? null, reason: maintenance?.reason ?? null,
    safeToDeploy: phase === "IDLE", currentPhase: phase, marketStatus: "none", pendingMarkets: 0,
});

async function answer(request, body) {
    const url = request.url.split("?")[0];
    if (url === "/health") {
        return [200, { status: "ok", timestamp: new Date().toISOString(), uptime: process.uptime(),
            maintenanceMode: maintenance !== null, database: { healthy: null, status: "skipped", latencyMs: 0 } }];
    }
    if (url === "/status") return [200, { uptime: process.uptime(), protected: true, connectedUsers: [], commitHash: build() }];
    if (url.startsWith("/api/streaming/state") || url.startsWith("/api/streaming/duel-context")) {
        if (has("not_active")) return [503, { error: "Streaming mode not active", message: "set STREAMING_DUEL_ENABLED" }];
        if (has("warmup")) return [503, { error: "Streaming delay warmup", message: "wait" }];
        const context = url.endsWith("duel-context");
        return [200, { type: context ? "STREAMING_DUEL_CONTEXT" : "STREAMING_STATE_UPDATE", cycle: cycleNow(), leaderboard: [], cameraTarget: "a1" }];
    }
    if (url === "/api/streaming/rtmp/status") return rtmpStatus();
    if (url.startsWith("/admin/")) {
        const no = refused(request);
        if (no) return no;
        switch (`${request.method} ${url}`) {
            case "POST /admin/graceful-restart":
                pending = true;
                if (phase === "IDLE" || phase === "ANNOUNCEMENT") restart();
                return [200, { success: true, message: "restart requested", pendingRestart: true, currentPhase: phase }];
            case "GET /admin/restart-status": return [200, { pendingRestart: pending, currentPhase: phase }];
            case "POST /admin/maintenance/enter": {
                const { reason, timeoutMs = 0 } = JSON.parse(body || "{}");
                maintenance = { at: Date.now(), reason };
                const end = Date.now() + timeoutMs;
                while (phase !== "IDLE" && Date.now() < end) await new Promise((go) => setTimeout(go, 100));
                return [200, { success: true, status: maintenanceNow() }];
            }
            case "POST /admin/maintenance/exit": maintenance = null; return [200, { success: true, status: maintenanceNow() }];
            case "GET /admin/maintenance/status": return [200, { success: true, status: maintenanceNow() }];
        }
    }
    return [404, { error: "not found" }];
}

http.createServer((request, response) => {
    if (request.url.startsWith("/live/")) {
        const file = path.join("packages/server/public/live", path.basename(request.url));
        return fs.readFile(file, (error, bytes) => {
            response.writeHead(error ? 404 : 200, { "content-type": "application/vnd.apple.mpegurl" });
            response.end(error ? "" : bytes);
        });
    }
    let body = "";
    request.on("data", (data) => { body += data; });
    request.on("end", async () => {
        const [code, value] = await answer(request, body);
        response.writeHead(code, { "content-type": "application/json" });
        response.end(JSON.stringify(value));
    });
}).on("error", (error) => { console.error(`Error: listen ${error.code}: address already in use :::${PORT}`); process.exit(1); })
    .listen(PORT, env.SERVER_HOST || "127.0.0.1", () => console.log(`[server] listening on ${PORT}`));
process.on("SIGTERM", () => process.exit(0));
