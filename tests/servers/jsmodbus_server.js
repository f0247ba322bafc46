// A Modbus server on the npm stack jsmodbus, for interoperability tests: fixed registers, and at 40 the number of reads of holding
// registers answered so far. Arguments: port, "tcp" (MBAP) or "rtu" (serial frames over TCP, as through a transparent converter).
// Says {"port": n} on stdout when it listens, then a line "function address count" for each read. Ends with its stdin.
"use strict";
const net = require("net");
const modbus = require("jsmodbus");

const [port, framing] = [Number(process.argv[2]), process.argv[3]];
const holding = Buffer.alloc(128);
const input = Buffer.alloc(128);
holding.writeFloatBE(1.5, 0);
holding.writeInt32BE(-70000, 4);
holding.subarray(4, 8).swap32().swap16(); // CDAB
holding.writeUInt16BE(65535, 8);
holding.writeInt16BE(-2, 10);
holding.writeDoubleBE(0.1, 12);
holding.write("A-12", 20);
holding.writeDoubleBE(-2.5, 24);
holding.subarray(24, 32).swap64(); // DCBA
holding.writeBigUInt64BE(18446744073709551615n, 32);
holding.writeUInt16BE(1234, 60);
for (let i = 0; i < 4; i++) input.writeUInt16BE(100 + i, 2 * i);
const coils = Buffer.from([0b01001001, 0b10010010]);
const discrete = Buffer.from([0b10101010, 0b10101010]);
const options = { holding, input, coils, discrete };

const watch = (server) => {
  server.on("preReadHoldingRegisters", (request) => {
    holding.writeUInt16BE(holding.readUInt16BE(80) + 1, 80);
    process.stdout.write(`3 ${request.body.start} ${request.body.count}\n`);
  });
};
const listener = net.createServer();
if (framing === "rtu") {
  listener.on("connection", (socket) => {
    socket.on("error", () => {});
    watch(new modbus.server.RTU(socket, options));
  });
} else {
  listener.on("connection", (socket) => socket.on("error", () => {}));
  watch(new modbus.server.TCP(listener, options));
}
listener.listen(port, "127.0.0.1", () => process.stdout.write(JSON.stringify({ port }) + "\n"));
process.stdin.on("end", () => process.exit(0)).resume();
