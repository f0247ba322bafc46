// An OPC UA server on the npm stack (node-opcua), for interoperability tests: fixed values of every kind, one value that runs.
// Says {"port": n} on stdout when it listens. Ends with its stdin. Argument 2: largest number of nodes per read (0: no limit).
"use strict";
const os = require("os");
const path = require("path");
const { OPCUAServer, DataType, Variant, VariantArrayType, StatusCodes, MessageSecurityMode, SecurityPolicy, OPCUACertificateManager } = require("node-opcua");

const WHEN = new Date("2026-11-22T01:02:03.456Z");

async function main() {
  const rootFolder = path.join(os.tmpdir(), "plantproof-node-opcua-pki");
  const serverCertificateManager = new OPCUACertificateManager({ rootFolder, automaticallyAcceptUnknownCertificate: true });
  await serverCertificateManager.initialize();
  const limit = Number(process.argv[3] || 0);
  const server = new OPCUAServer({
    port: Number(process.argv[2] || 0),
    hostname: "127.0.0.1",
    allowAnonymous: true,
    securityModes: [MessageSecurityMode.None],
    securityPolicies: [SecurityPolicy.None],
    serverCertificateManager,
    serverInfo: { applicationUri: "urn:example:node-opcua", productUri: "urn:example:interop" },
    buildInfo: { productUri: "urn:example:interop", productName: "interop", softwareVersion: "2.182.0", buildNumber: "1" },
    serverCapabilities: limit ? { operationLimits: { maxNodesPerRead: limit, maxMonitoredItemsPerCall: limit } } : {},
  });
  await server.initialize();
  const space = server.engine.addressSpace.getOwnNamespace();
  const folder = space.addFolder("ObjectsFolder", { browseName: "m1" });
  const add = (name, dataType, value, status) => {
    const variable = space.addVariable({ componentOf: folder, nodeId: `s=m1.${name}`, browseName: name, dataType, minimumSamplingInterval: 50 });
    variable.setValueFromSource(new Variant({ dataType, arrayType: VariantArrayType.Scalar, value }), status || StatusCodes.Good, WHEN);
    return variable;
  };
  add("speed", DataType.Double, 1.5);
  add("load", DataType.Float, 0.25);
  add("count", DataType.Int32, -3);
  add("parts", DataType.UInt16, 65535);
  add("total", DataType.Int64, [1, 2]); // high and low word: 2^32 + 2
  add("running", DataType.Boolean, true);
  add("name", DataType.String, "车床 A-12");
  add("shaky", DataType.Double, 7.5, StatusCodes.UncertainLastUsableValue);
  add("broken", DataType.Double, 0, StatusCodes.BadSensorFailure);
  const runs = add("runs", DataType.UInt32, 0);
  let n = 0;
  setInterval(() => runs.setValueFromSource(new Variant({ dataType: DataType.UInt32, value: ++n })), 10);
  await server.start();
  process.stdout.write(JSON.stringify({ port: server.endpoints[0].port, namespace: space.namespaceUri }) + "\n");
  process.stdin.on("end", () => server.shutdown(0).finally(() => process.exit(0))).resume();
}

main().catch((err) => {
  process.stderr.write(String(err.stack) + "\n");
  process.exit(1);
});
