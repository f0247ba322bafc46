// OPC UA companion models on the npm stack (node-opcua, node-opcua-nodesets): machines as their makers build them, for browse and diff.
// Says {"port": n, ...} on stdout when it listens. Ends with its stdin. Argument 2: what to show, 3: limits as JSON.
//   companion: two OPC 40501-1 machine tools, one with the mandatory nodes only, one OPC 40001-1 machine, one OPC 40502 CNC, from the nodesets of the package
// Argument 4 (workshop): how many more variables.
//   workshop:  equal lathes with Chinese names, units and ranges, one odd one out, a cycle, nodes that cannot be points
"use strict";
const os = require("os");
const path = require("path");
const {
  OPCUAServer, DataType, Variant, VariantArrayType, MessageSecurityMode, SecurityPolicy, OPCUACertificateManager,
  nodesets, standardUnits, makeAccessLevelFlag, makeEUInformation, promoteToStateMachine,
} = require("node-opcua");

const DI = "http://opcfoundation.org/UA/DI/";
const MACHINERY = "http://opcfoundation.org/UA/Machinery/";
const MACHINE_TOOL = "http://opcfoundation.org/UA/MachineTool/";
const CNC = "http://opcfoundation.org/UA/CNC";
const scalar = (dataType, value) => new Variant({ dataType, arrayType: VariantArrayType.Scalar, value });

function step(node, ...names) {
  for (const name of names) {
    const next = node.getComponentByName(name) || node.getPropertyByName(name) || node.getChildByName(name);
    if (!next) throw new Error(`${node.browseName}: no ${name}`);
    node = next;
  }
  return node;
}

const OPTIONALS = [
  "Identification.Model", "MachineryBuildingBlocks", "MachineryBuildingBlocks.MachineryItemState",
  "MachineryBuildingBlocks.OperationCounters", "Monitoring.MachineTool.MachineryItemState",
  "Monitoring.MachineTool.OperationCounters.PartsProducedInLifetime", "Monitoring.MachineTool.FeedOverride",
  "Notification.Messages", "Production.Statistics", "Production.Statistics.PartsProducedInLifetime",
];

function machineTool(space, own, id, model, serial) {
  const type = space.findObjectType("MachineToolType", space.getNamespaceIndex(MACHINE_TOOL));
  const machines = space.findNode(`ns=${space.getNamespaceIndex(MACHINERY)};i=1001`);
  const tool = type.instantiate({
    organizedBy: machines, browseName: id, displayName: `加工中心 ${id}`, nodeId: `s=${id}`, namespace: own,
    optionals: OPTIONALS,
  });
  step(tool, "Identification", "Manufacturer").setValueFromSource(scalar(DataType.LocalizedText, { text: "沈阳机床" }));
  step(tool, "Identification", "Model").setValueFromSource(scalar(DataType.LocalizedText, { text: model }));
  step(tool, "Identification", "SerialNumber").setValueFromSource(scalar(DataType.String, serial));
  step(tool, "Production", "ActiveProgram", "Name").setValueFromSource(scalar(DataType.String, "O1234"));
  const counters = step(tool, "MachineryBuildingBlocks", "OperationCounters");
  step(counters, "PartsProducedInLifetime").setValueFromSource(scalar(DataType.UInt64, [0, 4711]));
  step(counters, "PowerOnDuration").setValueFromSource(scalar(DataType.Double, 3600000));
  step(tool, "Production", "Statistics", "PartsProducedInLifetime").setValueFromSource(scalar(DataType.UInt32, 4711));
  return tool;
}

function state(node, name) {
  const machine = promoteToStateMachine(node);
  machine.setState(name);
}

function companion(server) {
  const space = server.engine.addressSpace;
  const own = space.getOwnNamespace();
  const machinery = space.getNamespaceIndex(MACHINERY);
  for (const [id, serial, now, mode] of [["MC-001", "SN-1", "Executing", 1], ["MC-002", "SN-2", "NotExecuting", 2]]) {
    const tool = machineTool(space, own, id, "VMC850", serial);
    state(step(tool, "MachineryBuildingBlocks", "MachineryItemState"), now);
    state(step(tool, "Production", "ActiveProgram", "State"), "Running");
    step(tool, "Monitoring", "MachineTool", "OperationMode").setValueFromSource(scalar(DataType.Int32, mode));
  }
  const old = space.findObjectType("MachineToolType", space.getNamespaceIndex(MACHINE_TOOL)).instantiate({
    organizedBy: space.findNode(`ns=${machinery};i=1001`), browseName: "MC-OLD", nodeId: "s=MC-OLD", namespace: own,
  });
  const program = step(old, "Production", "ActiveProgram", "State");
  state(program, "Interrupted");
  step(program, "CurrentState", "Number").setValueFromSource(scalar(DataType.UInt32, 3));
  const washer = own.addObject({
    organizedBy: space.findNode(`ns=${machinery};i=1001`), browseName: "Washer", displayName: "清洗机", nodeId: "s=WASHER",
  });
  const identification = space.findObjectType("MachineIdentificationType", machinery).instantiate({
    componentOf: washer, browseName: { name: "Identification", namespaceIndex: space.getNamespaceIndex(DI) },
    optionals: ["Model"],
  });
  step(identification, "Manufacturer").setValueFromSource(scalar(DataType.LocalizedText, { text: "某某清洗" }));
  step(identification, "SerialNumber").setValueFromSource(scalar(DataType.String, "W-7"));
  const itemState = space.findObjectType("MachineryItemState_StateMachineType", machinery).instantiate({
    componentOf: washer, browseName: { name: "MachineryItemState", namespaceIndex: machinery },
  });
  state(itemState, "NotAvailable");
  const number = own.addVariable({
    propertyOf: step(itemState, "CurrentState"), browseName: { name: "Number", namespaceIndex: 0 }, dataType: DataType.UInt32,
    typeDefinition: "PropertyType",
  });
  number.setValueFromSource(scalar(DataType.UInt32, 0));
  analog(own, washer, "s=WASHER.Temperature", "Temperature", DataType.Double, 61.5, standardUnits.degree_celsius, [0, 90]);
  cnc(space, own);
}

function cnc(space, own) {
  const index = space.getNamespaceIndex(CNC);
  const face = space.findObjectType("CncInterfaceType", index).instantiate({
    organizedBy: "ObjectsFolder", browseName: { name: "CncInterface", namespaceIndex: index }, nodeId: "s=CNC", namespace: own,
  });
  const list = step(face, "CncChannelList");
  for (const [name, id] of [["Channel_1", 1], ["Channel_2", 2]]) {
    const channel = space.findObjectType("CncChannelType", index).instantiate({ componentOf: list, browseName: { name, namespaceIndex: index } });
    step(channel, "Id").setValueFromSource(scalar(DataType.UInt32, id));
    step(channel, "ActStatus").setValueFromSource(scalar(DataType.Int32, 0));
    step(channel, "ActOperationMode").setValueFromSource(scalar(DataType.Int32, 2));
    step(channel, "ActMainProgramName").setValueFromSource(scalar(DataType.String, "MAIN.MPF"));
    step(channel, "ActProgramName").setValueFromSource(scalar(DataType.String, "SUB.SPF"));
  }
}

function analog(own, parent, nodeId, name, dataType, value, engineeringUnits, [low, high]) {
  const variable = own.addAnalogDataItem({
    componentOf: parent, browseName: name, nodeId, dataType, engineeringUnits, engineeringUnitsRange: { low, high },
  });
  variable.setValueFromSource(scalar(dataType, value));
  return variable;
}

function plain(own, parent, nodeId, name, dataType, value, more) {
  const variable = own.addVariable({ componentOf: parent, browseName: name, nodeId, dataType, ...more });
  if (value !== undefined) variable.setValueFromSource(scalar(dataType, value));
  return variable;
}

function lathe(own, folder, id, speed) {
  const machine = own.addObject({ organizedBy: folder, browseName: id, displayName: `数控车床 ${id}`, nodeId: `s=${id}` });
  const spindle = own.addObject({ componentOf: machine, browseName: "Spindle", displayName: "主轴", nodeId: `s=${id}.Spindle` });
  analog(own, spindle, `s=${id}.Spindle.Speed`, "主轴转速", DataType.Double, speed, standardUnits.revolutions_per_minute, [0, 6000]);
  analog(own, spindle, `s=${id}.Spindle.Load`, "Load", DataType.Float, 42.5, makeEUInformation("P1", "%", "percent"), [0, 100]);
  plain(own, machine, `s=${id}.Count`, "PartCount", DataType.UInt32, 17, { description: "累计产量\n(part counter)" });
  plain(own, machine, `s=${id}.Running`, "运行", DataType.Boolean, true);
  plain(own, machine, `s=${id}.Program`, "程序号", DataType.String, 'O1000 "精车"');
  return machine;
}

function workshop(server, size) {
  const own = server.engine.addressSpace.getOwnNamespace();
  const folder = own.addFolder("ObjectsFolder", { browseName: "车间", nodeId: "s=车间" });
  const lathes = ["LATHE-01", "LATHE-02", "LATHE-03"].map((id, i) => lathe(own, folder, id, 1000 + i));
  const odd = lathe(own, folder, "LATHE-09", 900);
  plain(own, odd, "s=LATHE-09.Chips", "Chips", DataType.Int64, [0, 5]);
  lathes[0].addReference({ referenceType: "Organizes", nodeId: folder }); // a cycle
  const presses = own.addFolder("ObjectsFolder", { browseName: "Presses", nodeId: "s=Presses" });
  for (const [n, name] of [[7001, "压力机甲"], [7101, "压力机乙"]]) {
    const press = own.addObject({ organizedBy: presses, browseName: name, nodeId: `i=${n}` });
    plain(own, press, `i=${n + 1}`, "Force", DataType.Double, 12.5);
    plain(own, press, `i=${n + 2}`, "Strokes", DataType.UInt64, [0, 9]);
  }
  const misc = own.addFolder("ObjectsFolder", { browseName: "Misc", nodeId: "s=Misc" });
  plain(own, misc, "s=Misc.Secret", "Secret", DataType.Double, 1, { accessLevel: makeAccessLevelFlag("CurrentWrite"), userAccessLevel: makeAccessLevelFlag("CurrentWrite") });
  plain(own, misc, "s=Misc.Image", "Image", DataType.ByteString, Buffer.from("x"));
  plain(own, misc, 's=Misc."DB 1"."温度";x', "a\"b\nc", DataType.Double, NaN);
  const array = own.addVariable({ componentOf: misc, browseName: "Curve", nodeId: "s=Misc.Curve", dataType: DataType.Double, valueRank: 1, arrayDimensions: [3] });
  array.setValueFromSource(new Variant({ dataType: DataType.Double, arrayType: VariantArrayType.Array, value: [1, 2, 3] }));
  analog(own, misc, "s=Misc.Hot", "Hot", DataType.Double, 500, standardUnits.degree_celsius, [0, 100]);
  plain(own, misc, "s=Misc.When", "When", DataType.DateTime, new Date("2026-11-22T01:02:03Z"));
  for (let i = 0; i < size; i++) plain(own, misc, `s=Misc.Many.${i}`, `V${i}`, DataType.Double, i);
}

async function main() {
  const rootFolder = path.join(os.tmpdir(), "plantproof-node-opcua-pki");
  const serverCertificateManager = new OPCUACertificateManager({ rootFolder, automaticallyAcceptUnknownCertificate: true });
  await serverCertificateManager.initialize();
  const what = process.argv[3] || "companion";
  const sets = what === "companion"
    ? [nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.isa95JobControl, nodesets.machineryJobs, nodesets.machineTool, nodesets.cnc]
    : [nodesets.standard];
  const server = new OPCUAServer({
    port: Number(process.argv[2] || 0), hostname: "127.0.0.1", allowAnonymous: true, nodeset_filename: sets,
    securityModes: [MessageSecurityMode.None], securityPolicies: [SecurityPolicy.None], serverCertificateManager,
    serverInfo: { applicationUri: "urn:example:node-opcua", productUri: "urn:example:interop" },
    serverCapabilities: JSON.parse(process.argv[4] || "{}"),
  });
  await server.initialize();
  if (what === "companion") companion(server);
  else workshop(server, Number(process.argv[5] || 0));
  await server.start();
  process.stdout.write(JSON.stringify({ port: server.endpoints[0].port }) + "\n");
  process.stdin.on("end", () => server.shutdown(0).finally(() => process.exit(0))).resume();
}

main().catch((err) => {
  process.stderr.write(String(err.stack) + "\n");
  process.exit(1);
});
