'use strict';
const { Worker } = require('bullmq');
const { ran } = require(process.env.PEERS_LIB + '/record.js');

const best = process.env.PEERS_ROW === 'best' ? { concurrency: 50, removeOnComplete: { count: 0 } } : {};
const worker = new Worker('jobs', async (job) => ran(job.data.id), { connection: { path: process.env.PEERS_SOCKET }, ...best });

process.on('SIGTERM', () => worker.close().then(() => process.exit(0)));
