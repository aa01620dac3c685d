// A signalling server as Pixel Streaming ships it, on the published protocol library.
//
// The library brings messages, transport and protocol; what the shipped server adds is here: a list of
// the streamers that stream, a digit for a name that is taken, a close without a word when a streamer
// goes, refusals in its own words, HTTP answers only when asked for, and no pings to streamers.
// Its options are the shipped server's own. `hang_before` (ours) is a command to wait for first.
'use strict';
const http = require('node:http');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const library = path.join(process.env.PIXEL_LIBRARY, 'node_modules');
const { WebSocketServer } = require(path.join(library, 'ws'));
const pixel = require(path.join(library, '@epicgames-ps/lib-pixelstreamingcommon-ue5.5'));
const { Messages, MessageHelpers, SignallingProtocol, WebSocketTransportNJS } = pixel;
for (const level of ['Debug', 'Info', 'Warning']) pixel.Logger[level] = () => {};

function options(words) {
    const given = {};
    for (let at = 0; at < words.length; at += 1) {
        const [name, value] = words[at].replace(/^--/, '').split('=');
        if (value !== undefined) {
            given[name] = value;
            continue;
        }
        const next = words[at + 1];
        given[name] = next === undefined || next.startsWith('--') ? true : words[(at += 1)];
    }
    return given;
}
const given = options(process.argv.slice(2));
const playerPort = Number(given.player_port ?? 80);
const streamerPort = Number(given.streamer_port ?? 8888);
const maxPlayers = Number(given.max_players ?? 0);
const say = (text) => console.log(text);
const make = (type, fields) => MessageHelpers.createMessage(Messages[type], fields);

const servers = [];
if (given.stun) servers.push({ urls: [`stun:${given.stun}`] });
if (given.turn) {
    servers.push({
        urls: [`turn:${given.turn}`],
        username: given['turn-user'],
        credential: given['turn-pass'],
    });
}
const config = () => ({
    ...make('config', {}),
    peerConnectionOptions: { iceServers: servers }, // the library leaves its shape to the operator
    protocolVersion: SignallingProtocol.SIGNALLING_VERSION,
});

const streamers = [];
const players = new Map();
let numbered = 0;

// A taken name gets the next digit: the shipped server's way.
function freeName(wanted) {
    const taken = streamers.map((each) => each.id);
    let most = -1;
    for (const name of taken) {
        const [, base, digits] = /^(.*?)(\d*)$/.exec(name);
        if (name === wanted || base === wanted) most = Math.max(most, Number(digits));
    }
    return most < 0 ? wanted : `${wanted}${most + 1}`;
}

function onStreamer(socket) {
    const protocol = new SignallingProtocol(new WebSocketTransportNJS(socket));
    const me = { id: freeName('UnknownStreamer'), streaming: false, protocol, subscribers: new Set() };
    streamers.push(me);
    say('New streamer connection');
    protocol.sendMessage(make('identify', {}));
    protocol.sendMessage(config());
    protocol.on('endpointId', (message) => {
        streamers.splice(streamers.indexOf(me), 1);
        me.id = freeName(message.id);
        streamers.push(me);
        me.streaming = true;
        protocol.sendMessage(make('endpointIdConfirm', { committedId: me.id }));
    });
    protocol.on('ping', (message) => protocol.sendMessage(make('pong', { time: message.time })));
    for (const type of ['offer', 'answer', 'iceCandidate']) {
        protocol.on(type, (message) => {
            const player = players.get(message.playerId);
            if (!player) return;
            delete message.playerId;
            player.protocol.sendMessage(message);
        });
    }
    socket.on('close', () => {
        streamers.splice(streamers.indexOf(me), 1);
        say(`Streamer '${me.id}' - websocket disconnected.`);
        // Its players are not told: their sockets are closed, code 1005.
        for (const id of me.subscribers) players.get(id)?.socket.close();
    });
}

function onPlayer(socket) {
    const protocol = new SignallingProtocol(new WebSocketTransportNJS(socket));
    const me = { id: `Player${numbered}`, socket, protocol, streamer: null };
    numbered += 1;
    players.set(me.id, me);
    say(`Registered new player: ${me.id}`);
    // The shipped server logs this message with the relay's password: so does this one.
    say(JSON.stringify(config()));
    if (!given.mute) protocol.sendMessage(config());
    protocol.on('listStreamers', () => {
        const ids = streamers.filter((each) => each.streaming).map((each) => each.id);
        protocol.sendMessage(make('streamerList', { ids }));
    });
    protocol.on('subscribe', (message) => {
        const streamer = streamers.find((each) => each.id === message.streamerId);
        let refusal = '';
        if (!streamer) refusal = `Streamer ${message.streamerId} does not exist.`;
        else if (maxPlayers > 0 && streamer.subscribers.size >= maxPlayers) {
            refusal = `Streamer ${streamer.id} is full. Max players = ${maxPlayers}.`;
        }
        if (refusal) {
            protocol.sendMessage(make('subscribeFailed', { message: refusal }));
            return;
        }
        me.streamer = streamer;
        streamer.subscribers.add(me.id);
        streamer.protocol.sendMessage(
            make('playerConnected', { playerId: me.id, dataChannel: true, sfu: false }),
        );
    });
    for (const type of ['answer', 'iceCandidate']) {
        protocol.on(type, (message) => {
            if (!me.streamer) socket.close();
            else me.streamer.protocol.sendMessage({ ...message, playerId: me.id });
        });
    }
    protocol.on('ping', (message) => protocol.sendMessage(make('pong', { time: message.time })));
    socket.on('close', () => {
        players.delete(me.id);
        if (!me.streamer) return;
        me.streamer.subscribers.delete(me.id);
        me.streamer.protocol.sendMessage(make('playerDisconnected', { playerId: me.id }));
    });
}

function onRequest(request, reply) {
    const answer = (status, body) => {
        reply.writeHead(status, { 'Content-Type': 'application/json' });
        reply.end(JSON.stringify(body));
    };
    if (request.url === '/') {
        reply.writeHead(200, { 'Content-Type': 'text/html' });
        reply.end('<!doctype html><title>Pixel Streaming</title>');
    } else if (given.rest_api && request.url === '/api/status') {
        answer(200, {
            uptime: Math.round(process.uptime() * 1000),
            streamer_count: streamers.length,
            player_count: players.size,
            version: '2.3.0',
        });
    } else if (given.rest_api && request.url === '/api/streamers') {
        answer(200, streamers.map((each) => ({
            streamerId: each.id,
            type: 'Streamer',
            streaming: each.streaming,
            remoteAddress: '127.0.0.1',
            subscribers: [...each.subscribers].map((playerId) => ({ playerId, type: 'Player' })),
        })));
    } else answer(404, { error: 'not found' });
}

// The shipped start script asks an outside service for its address first, and for ever if need be.
if (process.env.PIXEL_ASK_FIRST) spawnSync('sh', ['-c', process.env.PIXEL_ASK_FIRST]);

const streamerSide = new WebSocketServer({ port: streamerPort, host: '127.0.0.1' });
streamerSide.on('connection', onStreamer);
const page = http.createServer(onRequest);
new WebSocketServer({ server: page }).on('connection', onPlayer);
for (const each of [streamerSide, page]) {
    each.on('error', (error) => {
        console.error(`Error: ${error.message}`);
        process.exit(1);
    });
}
page.listen(playerPort, '127.0.0.1', () => {
    say(`Http server listening on port ${playerPort}`);
    say(`Listening for streamer connections on port ${streamerPort}`);
});
