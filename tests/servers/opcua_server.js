// An OPC UA server on the npm stack (node-opcua), for interoperability tests: fixed values of every kind, one value that runs.
// Says {"port": n} on stdout when it listens. Ends with its stdin. Argument 2: largest number of nodes per read (0: no limit).
// Argument 3: more server capabilities, as JSON.
"use strict";
const os = require("os");
const path = require("path");
const { OPCUAServer, DataType, Variant, VariantArrayType, StatusCodes, MessageSecurityMode, SecurityPolicy, OPCUACertificateManager, Range, coerceNodeId } = require("node-opcua");

const WHEN = new Date("2026-11-22T01:02:03.456Z");

// Every builtin type that a point can hold, arrays, a matrix, an enumeration, a standard structure; what they hold is in
// tests/adapters/test_opcua_types.py.
function types(space, folder) {
  const add = (name, dataType, value, more) => {
    const { dimensions, arrayType, ...rest } = more || {};
    const variant = new Variant({ dataType: rest.wire || dataType, arrayType: arrayType || VariantArrayType.Scalar, value, dimensions });
    const valueRank = dimensions ? dimensions.length : arrayType ? 1 : -1;
    const variable = space.addVariable({ componentOf: folder, nodeId: `s=m1.${name}`, browseName: name, dataType, valueRank, arrayDimensions: dimensions });
    variable.setValueFromSource(variant, StatusCodes.Good, WHEN);
  };
  const list = { arrayType: VariantArrayType.Array };
  add("t_sbyte", DataType.SByte, -128);
  add("t_byte", DataType.Byte, 255);
  add("t_int16", DataType.Int16, -32768);
  add("t_uint32", DataType.UInt32, 4294967295);
  add("t_uint64", DataType.UInt64, [0x00200000, 1]); // 2^53 + 1
  add("t_nan", DataType.Double, NaN);
  add("t_inf", DataType.Float, Infinity);
  add("t_datetime", DataType.DateTime, WHEN);
  add("t_guid", DataType.Guid, "72962B91-FA75-4AE6-8D28-B404DC7DAF63");
  add("t_bytes", DataType.ByteString, Buffer.from([0, 255, 16]));
  add("t_xml", DataType.XmlElement, "<a>值</a>");
  add("t_nodeid", DataType.NodeId, coerceNodeId("ns=1;s=主轴"));
  add("t_status", DataType.StatusCode, StatusCodes.BadSensorFailure);
  add("t_qualified", DataType.QualifiedName, { namespaceIndex: 1, name: "转速" });
  add("t_localized", DataType.LocalizedText, { locale: "zh", text: "运行中" });
  add("t_doubles", DataType.Double, new Float64Array([1.5, NaN, -2.5]), list);
  add("t_texts", DataType.String, ["一", null, ""], list);
  add("t_none", DataType.Int32, new Int32Array([]), list);
  add("t_matrix", DataType.Int32, new Int32Array([1, 2, 3, 4, 5, 6]), { arrayType: VariantArrayType.Matrix, dimensions: [2, 3] });
  add("t_state", "ServerState", 3, { wire: DataType.Int32 });
  add("t_range", "Range", new Range({ low: -1.5, high: 99 }), { wire: DataType.ExtensionObject });
  add("t_huge", DataType.Byte, Buffer.alloc(200000), list);
}

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
    serverCapabilities: {
      ...(limit ? { operationLimits: { maxNodesPerRead: limit, maxMonitoredItemsPerCall: limit } } : {}),
      ...JSON.parse(process.argv[4] || "{}"),
    },
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
  types(space, folder);
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
