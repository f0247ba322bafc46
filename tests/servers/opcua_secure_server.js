// An OPC UA server on the npm stack (node-opcua) with security, users, limits and redundancy, for tests.
// Argument 1: the port. Argument 2: a JSON file with what this server is (see `main`). Says {"port": n} on stdout when it listens.
// Each line on stdin changes it: {"level": 100} the ServiceLevel, {"speed": 2.5, "at": <epoch ms>} the value, and is echoed.
// {"ask": "sessions"} answers {"sessions": n, "created": n, "logins": n}. Ends with its stdin.
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");
const opcua = require("node-opcua");
const { OPCUAServer, OPCUACertificateManager, DataType, Variant, StatusCodes, MessageSecurityMode, SecurityPolicy } = opcua;

async function manager(rootFolder, trusted, key, everybody) {
  const own = path.join(rootFolder, "own", "private");
  fs.mkdirSync(own, { recursive: true });
  fs.copyFileSync(key, path.join(own, "private_key.pem"));
  const made = new OPCUACertificateManager({ rootFolder, automaticallyAcceptUnknownCertificate: everybody, disableFileWatchers: true });
  await made.initialize();
  for (const file of trusted) await made.trustCertificate(fs.readFileSync(file));
  return made;
}

async function main() {
  const is = JSON.parse(fs.readFileSync(process.argv[3], "utf8"));
  const key = is.key;
  let logins = 0;
  const server = new OPCUAServer({
    port: Number(process.argv[2]),
    hostname: "127.0.0.1",
    allowAnonymous: is.anonymous !== false,
    securityModes: (is.modes || ["None"]).map((m) => MessageSecurityMode[m]),
    securityPolicies: (is.policies || ["None"]).map((p) => SecurityPolicy[p]),
    certificateFile: is.certificate,
    privateKeyFile: key,
    serverCertificateManager: await manager(path.join(is.folder, "pki"), is.clients || [], key, !is.clients),
    userCertificateManager: await manager(path.join(is.folder, "users"), is.userCertificates || [], key, false),
    userManager: {
      isValidUser: (name, password) => {
        logins += 1;
        return (is.users || {})[name] === password;
      },
    },
    serverInfo: { applicationUri: is.uri, productUri: "urn:example:interop" },
    buildInfo: { productUri: "urn:example:interop", productName: "interop", softwareVersion: "2.182.0", buildNumber: "1" },
    serverCapabilities: { maxSessions: is.sessions || 100 },
  });
  await server.initialize();
  for (let k = 0; k < (is.shift || 0); k++) server.engine.addressSpace.registerNamespace(`urn:example:other-${k}`);
  const space = server.engine.addressSpace.registerNamespace("urn:example:machines");
  const folder = space.addFolder("ObjectsFolder", { browseName: "m1" });
  const speed = space.addVariable({ componentOf: folder, nodeId: "s=m1.speed", browseName: "speed", dataType: DataType.Double, minimumSamplingInterval: 50 });
  const write = (value, at) => speed.setValueFromSource(new Variant({ dataType: DataType.Double, value }), StatusCodes.Good, new Date(at));
  write(1.5, is.at || 1795309323456);
  const set = (id, dataType, value) => {
    const node = server.engine.addressSpace.findNode(id);
    node.bindVariable({ get: () => new Variant({ dataType, value }) }, true);
  };
  if (is.level !== undefined) set("i=2267", DataType.Byte, is.level);
  if (is.redundancy) set("i=3709", DataType.Int32, is.redundancy);
  if (is.runs) setInterval(() => write(Date.now() % 1e6, Date.now()), is.runs);
  await server.start();
  const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
  say({ port: server.endpoints[0].port });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const what = JSON.parse(line);
    if (what.level !== undefined) set("i=2267", DataType.Byte, what.level);
    if (what.speed !== undefined) write(what.speed, what.at);
    if (what.ask) say({ sessions: server.currentSessionCount, created: server.engine.cumulatedSessionCount, logins });
    else say({ done: what });
  });
  lines.on("close", () => process.exit(0));
}

main().catch((err) => {
  process.stderr.write(String(err.stack) + "\n");
  process.exit(1);
});
