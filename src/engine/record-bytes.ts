/** @file How many bytes of records a message carries. Only what is marked as records (`{ records }`) counts; shared memory does not cross. */

/** Bytes of the records in a payload: of typed arrays and buffers their length, 8 for a number, 2 for a character. */
export function recordBytes(payload: unknown): number {
  if (typeof payload !== 'object' || payload === null || ArrayBuffer.isView(payload)) return 0;
  if ('records' in payload) return sizeOfValue(payload.records);
  let bytes = 0;
  for (const value of Object.values(payload)) bytes += recordBytes(value);
  return bytes;
}

function sizeOfValue(value: unknown): number {
  if (typeof value === 'number') return 8;
  if (typeof value === 'string') return 2 * value.length;
  if (typeof value !== 'object' || value === null) return 1;
  if (ArrayBuffer.isView(value)) return value.buffer instanceof SharedArrayBuffer ? 0 : value.byteLength;
  if (value instanceof SharedArrayBuffer) return 0;
  if (value instanceof ArrayBuffer) return value.byteLength;
  let bytes = 0;
  for (const element of Array.isArray(value) ? value : Object.values(value)) bytes += sizeOfValue(element);
  return bytes;
}
