/** The dataset contract on worker processes. Runs on the built package, because workers load it. */
import * as data from 'shoal/data';
import { processes } from 'shoal/engine';
import { encodeIdx } from '../../src/codec/idx.ts';
import { datasetContract } from './contract.ts';
import { shuffleKills } from './shuffle-kills.ts';

datasetContract('processes', { data, encodeIdx, engine: (options) => processes({ workers: 2, ...options }) });
shuffleKills('processes', processes);
