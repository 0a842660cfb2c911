'use strict';
const { open } = require('./queue.js');
const { TEXT, produce } = require(process.env.PEERS_LIB + '/produce.js');

const queue = open(false);

async function save_all(jobs) {
  const errors = await queue.saveAll(jobs);
  if (errors.size > 0) {
    throw [...errors.values()][0];
  }
}

produce(
  (id) => queue.createJob({ id, text: TEXT }).save(),
  (ids) => save_all(ids.map((id) => queue.createJob({ id, text: TEXT }))),
).then(() => queue.close());
