// Many OPC UA servers (npm node-opcua) in one process: each with doubles that change once a period. For `make bench`.
// Arguments: first port, number of servers, nodes of each, period in ms. Says {"listening": n} on stdout; ends with its stdin.
"use strict";
const os = require("os");
const path = require("path");
const { createRequire } = require("module");
const opcua = createRequire(path.join(__dirname, "../../tests/servers/package.json"))("node-opcua");
const { OPCUAServer, DataType, Variant, StatusCodes, MessageSecurityMode, SecurityPolicy, OPCUACertificateManager } = opcua;

async function start(port, nodes, period, certificates, phase) {
  const server = new OPCUAServer({
    port,
    hostname: "127.0.0.1",
    allowAnonymous: true,
    securityModes: [MessageSecurityMode.None],
    securityPolicies: [SecurityPolicy.None],
    serverCertificateManager: certificates,
    serverInfo: { applicationUri: `urn:example:fleet`, productUri: "urn:example:fleet" },
    disableDiscovery: true,
  });
  await server.initialize();
  const space = server.engine.addressSpace.getOwnNamespace();
  const folder = space.addFolder("ObjectsFolder", { browseName: "Machine" });
  const variables = [];
  for (let i = 0; i < nodes; i++) {
    const variable = space.addVariable({
      componentOf: folder, nodeId: `s=Machine.p${i}`, browseName: `p${i}`, dataType: DataType.Double, minimumSamplingInterval: period,
    });
    variable.setValueFromSource({ dataType: DataType.Double, value: i }, StatusCodes.Good);
    variables.push(variable);
  }
  await server.start();
  setTimeout(() => setInterval(() => {
    const now = new Date();
    const base = now.getTime() / 1000;
    for (let i = 0; i < nodes; i++) variables[i].setValueFromSource(new Variant({ dataType: DataType.Double, value: base + i }), StatusCodes.Good, now);
  }, period), phase);
  return server;
}

async function main() {
  const [first, count, nodes, period] = process.argv.slice(2).map(Number);
  const certificates = new OPCUACertificateManager({ rootFolder: path.join(os.tmpdir(), "plantproof-fleet-pki"), automaticallyAcceptUnknownCertificate: true });
  await certificates.initialize();
  for (let i = 0; i < count; i++) await start(first + i, nodes, period, certificates, (i * period) / count);
  process.stdout.write(JSON.stringify({ listening: count }) + "\n");
  process.stdin.on("end", () => process.exit(0)).resume();
}

main().catch((err) => {
  process.stderr.write(String(err.stack) + "\n");
  process.exit(1);
});
