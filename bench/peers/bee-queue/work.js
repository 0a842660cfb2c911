'use strict';
const { best, open } = require('./queue.js');
const { ran } = require(process.env.PEERS_LIB + '/record.js');

const queue = open(true);
queue.process(best ? 50 : 1, async (job) => ran(job.data.id));

process.on('SIGTERM', () => queue.close(10000).then(() => process.exit(0)));
