'use strict';
const Queue = require('bee-queue');

const best = { removeOnSuccess: true, getEvents: false, sendEvents: false, storeJobs: false };

exports.best = process.env.PEERS_ROW === 'best';
exports.open = (isWorker) => new Queue('jobs', {
  redis: { path: process.env.PEERS_SOCKET },
  isWorker,
  ...(exports.best ? best : {}),
});
