'use strict';
/* The same as produce.php: push takes an id, bulk an array of ids; both return promises. */
const { setTimeout: sleep } = require('timers/promises');

exports.TEXT = 'x'.repeat(80);

exports.produce = async function produce(push, bulk) {
  const [what, first, count] = process.argv.slice(2);
  const ids = Array.from({ length: Number(count) }, (_, i) => Number(first) + i);
  if (what === 'paced') {
    const times = [];
    for (const id of ids) {
      times.push(process.hrtime.bigint());
      await push(id);
      times.push(process.hrtime.bigint());
      await sleep(20);
    }
    console.log(times.join(' '));
    return;
  }
  const begun = process.hrtime.bigint();
  if (what === 'one') {
    for (const id of ids) {
      await push(id);
    }
  } else {
    for (let at = 0; at < ids.length; at += 1000) {
      await bulk(ids.slice(at, at + 1000));
    }
  }
  console.log(Number(process.hrtime.bigint() - begun) / 1e9);
};
