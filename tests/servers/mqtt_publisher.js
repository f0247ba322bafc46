// A publisher on the npm stack (mqtt), MQTT 5 with properties. Arguments: url, QoS, count, ca file or "".
// Publishes {"speed": k} for k = 1 … count to plant/m1 and says {"acknowledged": [k, …]}: what the broker took. Then ends.
"use strict";
const fs = require("node:fs");
const mqtt = require("mqtt");

const [url, qos, count, ca] = process.argv.slice(2);
const client = mqtt.connect(url, { protocolVersion: 5, ca: ca ? fs.readFileSync(ca) : undefined, reconnectPeriod: 0 });
const acknowledged = [];
client.on("error", (error) => {
  process.stderr.write(String(error) + "\n");
  process.exit(1);
});
client.on("connect", () => {
  const properties = { payloadFormatIndicator: true, contentType: "application/json", userProperties: { line: "一" } };
  for (let k = 1; k <= Number(count); k += 1) {
    client.publish("plant/m1", JSON.stringify({ speed: k }), { qos: Number(qos), properties }, (error) => {
      if (!error) acknowledged.push(k);
      if (k === Number(count)) {
        client.end(false, () => process.stdout.write(JSON.stringify({ acknowledged }) + "\n"));
      }
    });
  }
});
