/** @file The checksum of everything that shoal writes for itself to read: frames and blocks. */
export { crc32c } from '../../kernels/crc32c.ts';
