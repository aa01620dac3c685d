// PM2's definition. The settings come from packages/server/.env, as in the original.
const fs = require("fs");
const path = require("path");

const env = {};
const file = path.join(__dirname, "packages/server/.env");
for (const line of fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n") : []) {
    const match = /^(\w+)=(?:'([^']*)'|(.*))$/.exec(line);
    if (match) env[match[1]] = match[2] ?? match[3];
}
const app = (name, script, args) => ({
    name, script, args, env,
    cwd: __dirname,
    autorestart: true,
    max_restarts: 999999,
    min_uptime: "10s",
    exp_backoff_restart_delay: 100,
    merge_logs: true,
    out_file: path.join(__dirname, "logs/duel-out.log"),
    error_file: path.join(__dirname, "logs/duel-error.log"),
});
const two = env.DUEL_APPS === "2";
module.exports = {
    apps: [
        app("hyperscape-duel", "scripts/duel-stack.mjs", ["--skip-betting", "--skip-bots", ...(two ? ["--no-bridge"] : [])]),
        ...(two ? [app("rtmp-bridge", "packages/server/rtmp-bridge.mjs", ["stream:rtmp"])] : []),
    ],
};
