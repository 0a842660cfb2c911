'use strict';
/* Notes that a job ran: see record.php. */
const fs = require('fs');

const file = fs.openSync(process.env.PEERS_RECORD, 'a');
const tail = Number(process.env.PEERS_TAIL);
const worker = BigInt(process.env.PEERS_WORKER || process.pid);
const buffer = Buffer.allocUnsafe(65520);
let used = 0;

function flush() {
  if (used > 0) {
    fs.writeSync(file, buffer, 0, used);
    used = 0;
  }
}

exports.ran = function ran(id) {
  const at = process.hrtime.bigint();
  buffer.writeBigInt64LE(BigInt(id), used);
  buffer.writeBigInt64LE(at, used + 8);
  buffer.writeBigInt64LE(worker, used + 16);
  used += 24;
  if (id >= tail || used === buffer.length) {
    flush();
  }
};

process.on('exit', flush);
