// An MQTT broker on the npm stack (aedes): speaks 3.1.1 only, refuses 5. Argument 1: the port. Says {"port": n} when it listens.
// Publishes {"speed": k} to plant/m1 every 100 ms at QoS 1 and says {"published": k} for each. Ends with its stdin.
"use strict";
const net = require("node:net");

(async () => {
  const { Aedes } = await import("aedes");
  const broker = await Aedes.createBroker();
  const server = net.createServer(broker.handle);
  server.listen(Number(process.argv[2]), "127.0.0.1", () => {
    process.stdout.write(JSON.stringify({ port: server.address().port }) + "\n");
    let k = 0;
    setInterval(() => {
      k += 1;
      const payload = Buffer.from(JSON.stringify({ speed: k }));
      broker.publish({ cmd: "publish", topic: "plant/m1", payload, qos: 1, retain: false }, () => {
        process.stdout.write(JSON.stringify({ published: k }) + "\n");
      });
    }, 100);
  });
  process.stdin.resume();
  process.stdin.on("end", () => process.exit(0));
})();
