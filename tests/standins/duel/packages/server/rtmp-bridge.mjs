// The bridge: a real ffmpeg towards every platform and HLS, a status file, and the original's log lines.
import { spawn } from "node:child_process";
import fs from "node:fs";

const env = process.env;
const STATUS_FILE = env.RTMP_STATUS_FILE || ".runtime-locks/rtmp-status.json";
const EVERY_MS = Number(env.RTMP_STATUS_EVERY_MS || 2000);
const outputs = (env.RTMP_DESTINATIONS || "").split(",").filter(Boolean).map((each) => {
    const [name, ...url] = each.split("=");
    return { name, url: url.join("=") + (env[`${name.toUpperCase()}_STREAM_KEY`] || ""), failing: 0 };
});
const LIVE = "packages/server/public/live";
const started = Date.now();
// What the browser draws: a fault of its own shows a picture that nobody on the host can tell from the game.
const DRAWN = { "": "testsrc2=size=160x90:rate=5", still: "smptebars=size=160x90:rate=5", black: "color=c=black:size=160x90:rate=5" };
let drawn = "";
let bytes = 0, ffmpeg = null, running = false, ending = false, hung = false, capturing = true;
let degraded = null, crashes = 0, gaveUp = false, age = 0;
fs.mkdirSync(LIVE, { recursive: true });
fs.mkdirSync("faults", { recursive: true });
fs.mkdirSync(".runtime-locks", { recursive: true });
fs.writeFileSync(".runtime-locks/rtmp-bridge", String(process.pid));

// A fault of this file is latched: it holds until this process ends. Some hold only where the settings
// are as bad as they were (`unless`).
function latch(name) {
    const file = `faults/${name}`;
    if (!fs.existsSync(file)) return null;
    const text = fs.readFileSync(file, "utf8");
    fs.rmSync(file);
    return text;
}
const held = (name) => fs.existsSync(`faults/${name}`);
const out = (line) => console.log(line);
const err = (line) => console.error(line);

if (held("page_timeout") && !(env.NODE_ENV === "production" && env.DUEL_USE_PRODUCTION_CLIENT === "true")) {
    err("[RTMPBridge] page.goto: Timeout 180000ms exceeded. navigating to http://localhost:3333/?page=stream"); fail();
} else if (held("no_canvas")) {
    err("[RTMPBridge] Could not find a game canvas on any candidate URL"); fail();
} else if (held("chrome_missing") && env.STREAM_CAPTURE_CHANNEL !== "chrome-beta") {
    err("browserType.launch: Executable doesn't exist at /usr/bin/google-chrome-unstable"); fail();
} else if (held("vulkan") && !env.XDG_RUNTIME_DIR) {
    err("vkCreateInstance: VK_ERROR_INCOMPATIBLE_DRIVER (XDG_RUNTIME_DIR is invalid or not set)"); fail();
} else {
    begin();
}
function fail() { setTimeout(() => process.exit(1), 200); }

function begin() {
    if (held("webgpu")) { err("[RTMPBridge] WebGPU preflight FAILED: no adapter"); degraded = "error:webgpu_required"; latch("webgpu"); }
    else if (latch("software") !== null) out("[RTMPBridge] WebGPU preflight PASSED: Google - SwiftShader");
    else out("[RTMPBridge] WebGPU preflight PASSED: nvidia - ampere");
    if (outputs.length === 0) err("[RTMPBridge] No RTMP outputs configured");
    out(`[RTMPBridge] Loaded ${outputs.length} destinations: ${outputs.map((each) => each.name).join(", ")}`);
    out("[CDP] Screencast capture started");
    encode();
    setInterval(tick, 100);
    setInterval(write, EVERY_MS);
    out("[RTMPBridge] Streaming active!");
}

function encode() {
    const tee = outputs.map((each) => `[f=fifo:fifo_format=flv:drop_pkts_on_overflow=1:attempt_recovery=1:recovery_wait_time=1]${each.url}`);
    tee.push(`[f=hls:hls_time=1:hls_list_size=6:hls_flags=delete_segments+temp_file]${LIVE}/stream.m3u8`);
    out(`[RTMPBridge] Using FFmpeg command ${env.FFMPEG_PATH || "ffmpeg"} ${tee.join("|")}`);
    ffmpeg = spawn(env.FFMPEG_PATH || "ffmpeg", ["-nostdin", "-hide_banner", "-loglevel", "warning", "-re", "-f", "lavfi", "-i", DRAWN[drawn] || DRAWN[""],
        "-f", "lavfi", "-i", "sine=r=22050", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-g", "5", "-pix_fmt", "yuv420p",
        "-c:a", "aac", "-b:a", "32k", "-ac", "1", "-map", "0:v", "-map", "1:a", "-flags", "+global_header", "-f", "tee", tee.join("|")],
        { stdio: ["ignore", "ignore", "pipe"], env: { ...env, PATH: env.PATH } });
    running = true;
    ffmpeg.stderr.setEncoding("utf8");
    ffmpeg.stderr.on("data", (text) => {
        for (const line of text.split("\n").filter(Boolean)) {
            err(line);
            for (const each of outputs) {
                const port = /:(\d+)\//.exec(each.url)?.[1];
                if (port && line.includes(`:${port}`) && /failed|refused|error/i.test(line)) each.failing = Date.now();
            }
        }
    });
    ffmpeg.on("error", () => {});
    ffmpeg.on("exit", (code, signal) => {
        running = latchedFlag.lies;
        if (ending || gaveUp || latchedFlag.paused) return;
        crashes += 1;
        err(`[RTMPBridge] FFmpeg crashed with code ${signal === "SIGSEGV" ? 139 : code}. Restart attempt ${crashes}/8`);
        setTimeout(() => ending || encode(), 300);
    });
}
const latchedFlag = { paused: false, stalled: false, flipping: false, placeholder: false, lies: false };

function stop() { latchedFlag.paused = true; ffmpeg?.kill("SIGKILL"); }

function tick() {
    const renderer = latch("renderer");
    if (renderer !== null) degraded = renderer.trim();
    if (latch("gave_up") !== null) { gaveUp = true; stop(); err("[RTMPBridge] FFmpeg crashed 8 times. Giving up. Manual intervention required."); }
    if (latch("refused") !== null) { gaveUp = true; stop(); err("[rtmp @ 0x1] Server error: NetStream.Publish.BadName: authentication failed for rtmp://live.example/app/s3cret-key"); err("[RTMPBridge] FFmpeg crashed 8 times. Giving up. Manual intervention required."); }
    if (held("segfault") && !env.FFMPEG_PATH) { if (running) ffmpeg.kill("SIGSEGV"); }
    if (latch("stall_once") !== null) { err("[CDP] CDP capture stalled for 30s. Attempting recovery"); setTimeout(() => out("[CDP] Screencast capture started"), 300); }
    if (latch("stalled") !== null) latchedFlag.stalled = true;
    if (latch("flipping") !== null) latchedFlag.flipping = true;
    if (latch("placeholder") !== null) { latchedFlag.placeholder = true; err("[RTMPBridge] Entering placeholder mode"); }
    if (latch("hang") !== null) hung = true;
    const drawing = latch("drawn");
    if (drawing !== null) { drawn = drawing.trim(); ffmpeg?.kill("SIGKILL"); }
    if (latch("output_flat") !== null) { latchedFlag.lies = true; stop(); }
    if (latch("slow") !== null) slow = true;
    if (latch("rotation") !== null) { out("[RTMPBridge] Scheduled browser rotation"); capturing = false; setTimeout(() => { capturing = true; out("[CDP] Screencast capture started"); }, 1500); }
    if (latch("encoder") !== null) err("[h264_nvenc @ 0x1] OpenEncodeSessionEx failed: out of memory (10): (no details) no capable devices found");
    if (latch("gpu_memory") !== null) err("[Renderer] VK_ERROR_OUT_OF_DEVICE_MEMORY");
    if (latch("old") !== null) age = 48 * 3600 * 1000 - 60000;
    if (!latchedFlag.stalled && !latchedFlag.placeholder && capturing) bytes += 4000;
}
let slow = false, ticks = 0;

function write() {
    if (hung) return;
    ticks += 1;
    if (latchedFlag.stalled) err("[CDP] CDP capture stalled for 30s. Attempting recovery");
    if (latchedFlag.flipping) { err("[CDP] CDP restart failed"); err("[RTMPBridge] Falling back to MediaRecorder"); }
    if (slow) err("frame= 100 fps= 12 q=23.0 size= 1024kB time=00:00:10.00 bitrate= 800.0kbits/s speed=0.42x");
    const destinations = outputs.map((each) => {
        const bad = Date.now() - each.failing < 3000;
        return { name: each.name, connected: running && !bad, ...(bad ? { error: "Connection refused" } : {}), bytesWritten: 0, startedAt: started };
    });
    if (ticks % 5 === 0) out(`[Status] Active: true, Bytes received: ${bytes}, Destinations: ${destinations.map((each) => `${each.name}: ${each.connected ? "OK" : "ERROR"}`).join(", ")}`);
    const status = {
        active: true, startedAt: started - age, destinations, ffmpegRunning: running, clientConnected: true,
        stats: { bytesReceived: bytes, bytesReceivedMB: bytes / 1e6, uptimeSeconds: process.uptime(), destinations: destinations.length,
            healthy: true, droppedFrames: 0, backpressured: false, spectators: 0, processMemory: process.memoryUsage() },
        captureMode: "cdp", processRssBytes: process.memoryUsage().rss,
        rendererHealth: { ready: degraded === null, degradedReason: degraded, updatedAt: Date.now(), phase: "FIGHTING" },
        updatedAt: Date.now(), source: "external-rtmp-bridge",
    };
    fs.writeFileSync(`${STATUS_FILE}.new`, JSON.stringify(status));
    fs.renameSync(`${STATUS_FILE}.new`, STATUS_FILE);
}

process.on("SIGTERM", () => {
    if (hung) return; // a browser whose close never returns
    ending = true;
    ffmpeg?.kill("SIGKILL");
    fs.rmSync(STATUS_FILE, { force: true });
    process.exit(0);
});
