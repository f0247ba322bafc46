// A Sparkplug B edge node on the npm stack (sparkplug-client), with its quirks: bdSeq always 0, the sequence number inside a compressed
// body. Arguments: a port (said back as {"port": n} when connected), the broker's url, {"compress": "", "DEFLATE" or "GZIP"}.
// Each line on stdin is a command: {"data": {device, count}}, {"deathOf": device}, {"vanish": true}, {"ncmds": true}. Its answer is one
// line on stdout: {"sent": [[device, metric, timestamp, value]]} (numbers as text), {"ncmds": n}. Ends with its stdin.
"use strict";
const readline = require("node:readline");
const sparkplug = require("sparkplug-client");
const Long = require(require.resolve("long", { paths: [require.resolve("sparkplug-payload")] }));

const [port, serverUrl, options] = process.argv.slice(2);
const { compress } = JSON.parse(options);
const client = sparkplug.newClient({
  serverUrl,
  username: "",
  password: "",
  groupId: "G",
  edgeNode: "E",
  clientId: `npm-edge-${process.pid}`,
  publishDeath: true,
});
const compression = compress ? { compress: true, algorithm: compress } : {};

let counter = 0;
let clock = Date.now();
let ncmds = 0;
const sent = [];
const values = () => {
  counter += 1;
  return [
    ["i8", "Int8", -(counter % 100)],
    ["i16", "Int16", -300 - counter],
    ["i32", "Int32", -70000 - counter],
    ["i64", "Int64", Long.fromString("-9007199254740993").add(counter)],
    ["u8", "UInt8", 200 + (counter % 50)],
    ["u16", "UInt16", 65000 + counter],
    ["u32", "UInt32", 4294967295 - counter],
    ["u64", "UInt64", Long.fromString("18446744073709551615", true).subtract(counter)],
    ["f32", "Float", counter + 0.5],
    ["f64", "Double", counter / 10],
    ["flag", "Boolean", counter % 2 === 0],
    ["name", "String", `第${counter}件`],
    ["when", "DateTime", Long.fromNumber(1795309323456 + counter, true)],
  ];
};
const metrics = (device) => {
  clock = Math.max(clock + 1, Date.now());
  return values().map(([name, type, value]) => {
    sent.push([device, name, clock, String(value)]);
    return { name, type, value, timestamp: clock };
  });
};
const payload = (device) => ({ timestamp: Date.now(), metrics: metrics(device) });
const births = () => {
  const node = [{ name: "Node Control/Rebirth", type: "Boolean", value: false, timestamp: Date.now() }];
  client.publishNodeBirth({ timestamp: Date.now(), metrics: node }, compression);
  for (const device of ["a", "b"]) client.publishDeviceBirth(device, payload(device), compression);
};
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

let connected = false;
client.on("error", (error) => process.stderr.write(String(error) + "\n"));
client.on("birth", () => {
  births();
  if (!connected) say({ port: Number(port) });
  connected = true;
});
client.on("ncmd", (command) => {
  ncmds += 1;
  if (command.metrics.some((m) => m.name === "Node Control/Rebirth" && m.value === true)) births();
});

const commands = readline.createInterface({ input: process.stdin });
commands.on("line", (line) => {
  const command = JSON.parse(line);
  if (command.data) {
    for (let k = 0; k < command.data.count; k += 1) {
      client.publishDeviceData(command.data.device, payload(command.data.device), compression);
    }
  }
  if (command.deathOf) client.publishDeviceDeath(command.deathOf, { timestamp: Date.now() });
  if (command.vanish) client.client.stream.destroy();
  say(command.ncmds ? { ncmds } : { sent: sent.splice(0) });
});
commands.on("close", () => process.exit(0));
