'use strict';
const { Queue } = require('bullmq');
const { TEXT, produce } = require(process.env.PEERS_LIB + '/produce.js');

const queue = new Queue('jobs', { connection: { path: process.env.PEERS_SOCKET } });

produce(
  (id) => queue.add('noop', { id, text: TEXT }),
  (ids) => queue.addBulk(ids.map((id) => ({ name: 'noop', data: { id, text: TEXT } }))),
).then(() => queue.close());
