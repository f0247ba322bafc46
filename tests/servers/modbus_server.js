// A Modbus TCP server on the npm stack (modbus-serial), for interoperability tests: unit 1, fixed registers, one hole.
// Argument 1: the port. Says {"port": n} on stdout when it listens. Ends with its stdin.
"use strict";
const { ServerTCP } = require("modbus-serial");

const registers = new Map();
const put = (address, buffer) => {
  for (let i = 0; i < buffer.length; i += 2) registers.set(address + i / 2, buffer.readUInt16BE(i));
};
const number = (write, size, value) => {
  const b = Buffer.alloc(size);
  b[write](value, 0);
  return b;
};
put(0, number("writeFloatBE", 4, 1.5)); // ABCD
put(2, number("writeInt32BE", 4, -70000).swap32().swap16()); // words swapped, bytes in place: CDAB
put(4, number("writeUInt16BE", 2, 65535));
put(5, number("writeInt16BE", 2, -2));
put(6, number("writeDoubleBE", 8, 0.1));
put(10, Buffer.from("A-12"));
put(12, number("writeDoubleBE", 8, -2.5).swap64()); // DCBA
put(16, number("writeBigUInt64BE", 8, 18446744073709551615n));
put(30, number("writeUInt16BE", 2, 1234)); // behind a hole: 20 .. 29 do not exist

const refuse = () => {
  const error = new Error("illegal data address");
  error.modbusErrorCode = 2;
  throw error;
};
const vector = {
  getHoldingRegister: (address) => (registers.has(address) ? registers.get(address) : refuse()),
  getInputRegister: (address) => (address < 4 ? 100 + address : refuse()),
  getCoil: (address) => address % 3 === 0,
  getDiscreteInput: (address) => address % 2 === 1,
  readDeviceIdentification: () => ({ 0: "npm", 1: "modbus-serial", 2: "8.0.25", 4: "interop server" }),
};
const server = new ServerTCP(vector, { host: "127.0.0.1", port: Number(process.argv[2]), unitID: 1 });
server.on("initialized", () => process.stdout.write(JSON.stringify({ port: server._server.address().port }) + "\n"));
server.on("socketError", () => {});
process.stdin.on("end", () => process.exit(0)).resume();
