// An OPC UA server on the npm stack (node-opcua) with history, alarms and events, for interoperability tests.
// Argument 1: the port. Argument 2, JSON: {"served": file, "interval_ms": 120, "limit": 0, "online": 100000, "history": true}.
// A value stands for more than two of the shortest sampling intervals (50 ms), so that a subscription sees every one of them.
// Every value is appended to the file as {"point", "us", "value"} before it is served; a server that is started again on the same file
// has its history, so that a killed one can come back with what it had. Every event is appended as {"event": {field: value}}.
// Says {"port": n} on stdout when it listens; then takes one JSON command a line on stdin and answers {"done": n}:
// {"set": "temperature", "value": 95}, {"ack": "comment"}, {"confirm": "comment"}, {"event": "message", "severity": 500, "count": 1},
// {"quiet": true} (values stand still). Ends with its stdin.
"use strict";
const fs = require("fs");
const os = require("os");
const path = require("path");
const readline = require("readline");
const {
  OPCUAServer, DataType, Variant, VariantArrayType, StatusCodes, MessageSecurityMode, SecurityPolicy, OPCUACertificateManager, DataValue,
} = require("node-opcua");

const options = { served: "", interval_ms: 120, limit: 0, online: 100000, history: true, ...JSON.parse(process.argv[3] || "{}") };
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const note = (line) => options.served && fs.appendFileSync(options.served, JSON.stringify(line) + "\n");

const TYPES = { ramp: DataType.UInt32, wave: DataType.Double, label: DataType.String, temperature: DataType.Double, plain: DataType.UInt32 };
const scalar = (point, value) => new Variant({ dataType: TYPES[point], arrayType: VariantArrayType.Scalar, value });

function past() {
  if (!options.served || !fs.existsSync(options.served)) return [];
  const lines = fs.readFileSync(options.served, "utf8").split("\n").filter((l) => l.endsWith("}"));
  return lines.map((l) => JSON.parse(l)).filter((l) => l.point);
}

function variables(space, machine) {
  const all = {};
  const earlier = past();
  for (const point of Object.keys(TYPES)) {
    const variable = space.addVariable({
      componentOf: machine, nodeId: `s=m1.${point}`, browseName: point, dataType: TYPES[point], minimumSamplingInterval: 5,
    });
    const mine = earlier.filter((l) => l.point === point);
    const last = mine[mine.length - 1];
    if (last) variable.setValueFromSource(scalar(point, last.value), StatusCodes.Good, new Date(last.us / 1000));
    if (options.history && point !== "plain") {
      space.addressSpace.installHistoricalDataNode(variable, { maxOnlineValues: options.online });
      const line = variable.varHistorian._timeline; // what the file holds stands before the value just set
      while (line.length) line.pop();
      for (const l of mine) {
        const sourceTimestamp = new Date(l.us / 1000);
        variable.varHistorian.push(new DataValue({ value: scalar(point, l.value), sourceTimestamp, serverTimestamp: sourceTimestamp }));
      }
    }
    all[point] = variable;
  }
  return all;
}

async function main() {
  const rootFolder = path.join(os.tmpdir(), "plantproof-node-opcua-pki");
  const serverCertificateManager = new OPCUACertificateManager({ rootFolder, automaticallyAcceptUnknownCertificate: true });
  await serverCertificateManager.initialize();
  const limit = options.limit;
  const server = new OPCUAServer({
    port: Number(process.argv[2] || 0),
    hostname: "127.0.0.1",
    allowAnonymous: true,
    securityModes: [MessageSecurityMode.None],
    securityPolicies: [SecurityPolicy.None],
    serverCertificateManager,
    serverInfo: { applicationUri: "urn:example:history", productUri: "urn:example:history" },
    buildInfo: { productUri: "urn:example:history", productName: "history", softwareVersion: "1", buildNumber: "1" },
    serverCapabilities: limit ? { operationLimits: { maxNodesPerHistoryReadData: limit, maxNodesPerRead: limit } } : {},
  });
  await server.initialize();
  const addressSpace = server.engine.addressSpace;
  const space = addressSpace.getOwnNamespace();
  addressSpace.installAlarmsAndConditionsService();
  const machine = space.addObject({
    organizedBy: addressSpace.rootFolder.objects, browseName: "m1", nodeId: "s=m1", eventNotifier: 1,
    eventSourceOf: addressSpace.rootFolder.objects.server,
  });
  const all = variables(space, machine);
  let clock_ms = 0;
  const set = (point, value) => {
    clock_ms = Math.max(Date.now(), clock_ms + 1); // every value has a millisecond of its own
    note({ point, us: clock_ms * 1000, value });
    all[point].setValueFromSource(scalar(point, value), StatusCodes.Good, new Date(clock_ms));
  };
  const alarm = space.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", {
    browseName: "TooHot", nodeId: "s=m1.TooHot", conditionSource: machine, inputNode: all.temperature, componentOf: machine,
    lowLowLimit: -20, lowLimit: 0, highLimit: 80, highHighLimit: 120, optionals: ["ConfirmedState", "Confirm"],
  });
  const text = (variant) => (variant && variant.value && variant.value.text !== undefined ? variant.value.text : variant && variant.value);
  addressSpace.rootFolder.objects.server.on("event", (data) => {
    const of = (name) => data[name];
    const id = of("eventId");
    note({
      event: {
        event_id: id && id.value ? id.value.toString("hex") : null, us: of("time").value.getTime() * 1000, message: text(of("message")),
        severity: text(of("severity")), source_name: text(of("sourceName")), condition: text(of("conditionName")) || null,
      },
    });
  });
  let n = 0;
  let quiet = false;
  set("temperature", 20);
  set("plain", 1);
  setInterval(() => {
    if (quiet) return;
    n += 1;
    set("ramp", n);
    set("wave", Math.sin(n / 50));
    if (n % 4 === 0) set("label", `批次 ${n}`);
    set("plain", n);
  }, options.interval_ms);

  let done = 0;
  const commands = {
    set: (c) => set(c.set, c.value),
    quiet: (c) => (quiet = c.quiet),
    ack: (c) => alarm.acknowledgeAndAutoConfirmBranch(alarm.currentBranch(), c.ack),
    event: (c) => {
      for (let k = 0; k < (c.count || 1); k++) {
        machine.raiseEvent("BaseEventType", {
          message: { dataType: DataType.LocalizedText, value: { text: c.event } },
          severity: { dataType: DataType.UInt16, value: c.severity || 500 },
        });
      }
    },
  };
  await server.start();
  say({ port: server.endpoints[0].port, namespace: space.namespaceUri });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const command = JSON.parse(line);
    for (const name of Object.keys(commands)) if (name in command) commands[name](command);
    say({ done: ++done });
  });
  lines.on("close", () => server.shutdown(0).finally(() => process.exit(0)));
}

main().catch((err) => {
  process.stderr.write(String(err.stack) + "\n");
  process.exit(1);
});
