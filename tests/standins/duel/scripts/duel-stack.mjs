// The orchestrator: starts the game server and the bridge, each in a process group of its own. The server
// is critical: its end is ours. The bridge is begun again after a while, for ever, and PM2 sees none of it.
import { spawn } from "node:child_process";
import fs from "node:fs";

const LOCK = ".runtime-locks/duel-stack.json";
const RESPAWN_MS = Number(process.env.DUEL_BRIDGE_RESPAWN_MS || 3000);
const children = new Map();
let ending = false;

const alive = (pid) => { try { process.kill(pid, 0); return true; } catch { return false; } };

fs.mkdirSync(".runtime-locks", { recursive: true });
fs.mkdirSync("faults", { recursive: true });
try {
    const other = JSON.parse(fs.readFileSync(LOCK, "utf8")).pid;
    if (other !== process.pid && alive(other)) {
        console.error(`[duel] Another duel stack is already running (pid ${other})`);
        process.exit(1);
    }
} catch { /* none */ }
fs.writeFileSync(LOCK, JSON.stringify({ pid: process.pid, startedAt: new Date().toISOString() }));

function start(name, args) {
    const child = spawn(process.execPath, args, { detached: true, stdio: ["ignore", "inherit", "inherit"] });
    children.set(name, child);
    child.on("exit", (code, signal) => {
        children.delete(name);
        if (ending) return;
        if (name === "game-server") {
            console.error(`[duel] game-server exited (code=${code} signal=${signal}); it is critical`);
            end(1);
        } else {
            console.log(`[duel] ${name} exited (code=${code} signal=${signal}), restarting in ${RESPAWN_MS} ms`);
            setTimeout(() => ending || start(name, args), RESPAWN_MS);
        }
    });
}

function end(code) {
    if (ending) return;
    ending = true;
    const signal = (which) => {
        for (const child of children.values()) {
            try { process.kill(-child.pid, which); } catch { /* gone */ }
        }
    };
    signal("SIGTERM");
    const finish = () => {
        signal("SIGKILL");
        fs.writeFileSync(".runtime-locks/ended-at", String(Date.now()));
        fs.rmSync(LOCK, { force: true });
        process.exit(code);
    };
    const until = Date.now() + 1200;
    const look = setInterval(() => (children.size === 0 || Date.now() > until) && (clearInterval(look), finish()), 20);
}

process.on("SIGINT", () => end(0));
process.on("SIGTERM", () => end(0));

// Postgres lets nobody in until the connections of the stack before have drained (fault "db" holds the ms).
if (fs.existsSync("faults/db")) {
    const ended = Number(fs.existsSync(".runtime-locks/ended-at") && fs.readFileSync(".runtime-locks/ended-at", "utf8")) || 0;
    if (Date.now() - ended < Number(fs.readFileSync("faults/db", "utf8"))) {
        console.error("PostgresError: sorry, too many clients already\n    code: '53300', severity: 'FATAL'");
        setTimeout(() => end(1), 100);
    } else {
        fs.rmSync("faults/db");
    }
}
// Memory that is never given back.
let hoard = [];
setInterval(() => {
    if (fs.existsSync("faults/memory")) {
        hoard.push(Buffer.alloc(Number(fs.readFileSync("faults/memory", "utf8")), 1));
        fs.rmSync("faults/memory");
    }
}, 200);
fs.rmSync("faults/no_canvas", { force: true }); // a client that does not serve is started anew
console.log(`[duel] starting (${process.argv.slice(2).join(" ")})`);
start("game-server", ["packages/server/game-server.mjs"]);
if (!process.argv.includes("--no-bridge")) start("rtmp-bridge", ["packages/server/rtmp-bridge.mjs", "stream:rtmp"]);
