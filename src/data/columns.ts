/**
 * @file Records as columns: a field of all records of a partition lies in one array, `[count, ...shape]`. In SharedArrayBuffers columns are made
 * once by a worker, cross to other threads without a copy, and survive the worker that made them. Everything here is plain data and functions,
 * because classes do not survive threads.
 */
import { arrayConstructor, bytesPerElement, type DType, type NumericArray } from '../dtype.ts';
import { EngineError, IndexRangeError, ShapeError } from '../errors.ts';
import { checkShape, formatShape, type Shape, sameShape, sizeOf } from '../shape.ts';

/** Type and shape of one field of a record; shape `[]` is a number (or a boolean, for bool), anything else a typed array, flat, row-major. */
export interface FieldSchema {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** The fields of a record of numbers and typed arrays, in order. */
export type Schema = Readonly<Record<string, FieldSchema>>;

/** One field of many records. */
export interface Column extends FieldSchema {
  /** `count * sizeOf(shape)` elements, record after record. */
  readonly data: NumericArray;
}

/** Many records, field by field. Also the form of a batch. */
export interface Columns {
  readonly count: number;
  readonly fields: Readonly<Record<string, Column>>;
}

/** A record as columns give it back. */
export type ColumnRecord = Record<string, number | boolean | NumericArray>;

/**
 * The schema of columns.
 *
 * @example
 * const columns: Columns = { count: 3, fields: { age: { dtype: 'int32', shape: [], data: Int32Array.of(30, 40, 50) } } };
 * schemaOf(columns); // => { age: { dtype: 'int32', shape: [] } }
 */
export function schemaOf(columns: Columns): Schema {
  const schema: Record<string, FieldSchema> = {};
  for (const [name, { dtype, shape }] of Object.entries(columns.fields)) schema[name] = { dtype, shape };
  return schema;
}

/** Whether two schemas have the same fields (in any order), dtypes and shapes. */
export function sameSchema(a: Schema, b: Schema): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => {
      const other = Object.hasOwn(b, name) ? b[name] : undefined;
      return other !== undefined && a[name]!.dtype === other.dtype && sameShape(a[name]!.shape, other.shape);
    })
  );
}

/** `{image: uint8[28,28], label: int32[]}` as a message prints it. */
export function formatSchema(schema: Schema): string {
  const fields = Object.entries(schema).map(([name, { dtype, shape }]) => `${name}: ${dtype}${formatShape(shape)}`);
  return `{${fields.join(', ')}}`;
}

/**
 * Record `row` of columns: numbers and booleans for scalar fields, typed arrays of its own (copies) for the others.
 *
 * @throws IndexRangeError
 * @example
 * const columns: Columns = { count: 3, fields: { age: { dtype: 'int32', shape: [], data: Int32Array.of(30, 40, 50) } } };
 * recordAt(columns, 1); // => { age: 40 }
 */
export function recordAt(columns: Columns, row: number): ColumnRecord {
  if (!Number.isInteger(row) || row < 0 || row >= columns.count) {
    throw new IndexRangeError(`recordAt: the row must be in 0..${columns.count - 1}, got ${row}. Check the row.`, {
      row,
      count: columns.count,
    });
  }
  const record: ColumnRecord = {};
  for (const [name, { dtype, shape, data }] of Object.entries(columns.fields)) {
    if (shape.length === 0) {
      record[name] = dtype === 'bool' ? data[row] !== 0 : data[row]!;
    } else {
      const size = sizeOf(shape);
      // `slice` of a shared array gives an array of its own: nobody who changes a record changes the cache.
      record[name] = data.slice(row * size, (row + 1) * size);
    }
  }
  return record;
}

/**
 * The records at `rows`, in that order, as columns of their own. The path from a cached partition to a batch.
 *
 * @param into columns from an earlier call with as many rows, whose arrays are filled instead of new ones.
 * @throws IndexRangeError for a row outside the columns; ShapeError when `into` does not fit
 * @example
 * const columns: Columns = { count: 3, fields: { age: { dtype: 'int32', shape: [], data: Int32Array.of(30, 40, 50) } } };
 * gather(columns, Int32Array.of(2, 0)).fields.age!.data; // => [50, 30]
 */
export function gather(columns: Columns, rows: Int32Array, into?: Columns): Columns {
  for (const row of rows) {
    if (row < 0 || row >= columns.count) {
      throw new IndexRangeError(`gather: rows must be in 0..${columns.count - 1}, got ${row}. Check the rows.`, {
        row,
        count: columns.count,
      });
    }
  }
  if (into !== undefined && (into.count !== rows.length || !sameSchema(schemaOf(columns), schemaOf(into)))) {
    throw new ShapeError(
      `gather: into must have the same fields and ${rows.length} records, got ${formatSchema(schemaOf(into))} with ${into.count}. Leave it out.`,
    );
  }
  const fields: Record<string, Column> = {};
  for (const [name, { dtype, shape, data }] of Object.entries(columns.fields)) {
    const size = sizeOf(shape);
    const target = into?.fields[name]?.data ?? new arrayConstructor[dtype](rows.length * size);
    if (size === 1) {
      for (let i = 0; i < rows.length; i++) target[i] = data[rows[i]!]!;
    } else {
      for (let i = 0; i < rows.length; i++) {
        const from = rows[i]! * size;
        target.set(data.subarray(from, from + size) as Uint8Array, i * size);
      }
    }
    fields[name] = { dtype, shape, data: target };
  }
  return { count: rows.length, fields };
}

/** The schema that a record itself shows: numbers are float64, booleans bool, typed arrays vectors of their dtype. `null` if it has other fields. */
export function inferSchema(record: unknown): Schema | null {
  if (typeof record !== 'object' || record === null || Array.isArray(record) || ArrayBuffer.isView(record)) return null;
  if (Object.prototype.toString.call(record) !== '[object Object]') return null;
  const schema: Record<string, FieldSchema> = {};
  for (const [name, value] of Object.entries(record)) {
    const field = inferField(value);
    if (field === null || name === '__proto__') return null;
    schema[name] = field;
  }
  return Object.keys(schema).length === 0 ? null : schema;
}

function inferField(value: unknown): FieldSchema | null {
  if (typeof value === 'number') return { dtype: 'float64', shape: [] };
  if (typeof value === 'boolean') return { dtype: 'bool', shape: [] };
  for (const dtype of ['float32', 'float64', 'int32', 'uint8'] as const) {
    if (value instanceof arrayConstructor[dtype]) return { dtype, shape: [value.length] };
  }
  return null;
}

/** Checks a schema that a user wrote. */
export function checkSchema(op: string, schema: Schema): void {
  const names = Object.keys(schema);
  if (names.length === 0)
    throw schemaError(`${op}: a schema has at least one field, got none. Name the fields of a record.`);
  for (const name of names) {
    const field = schema[name]!;
    if (!Object.hasOwn(bytesPerElement, field.dtype) || !Array.isArray(field.shape)) {
      throw schemaError(
        `${op}: a field is { dtype, shape }, got ${JSON.stringify(field)} for ${name}. Example: { dtype: 'uint8', shape: [784] }.`,
      );
    }
    checkShape(op, field.shape);
  }
}

/** A schema that records break. Code `SCHEMA`: trying again does not help. */
export function schemaError(message: string, fields: Record<string, unknown> = {}): EngineError {
  return new EngineError('SCHEMA', message, fields);
}

interface GrowingColumn extends FieldSchema {
  readonly name: string;
  readonly size: number;
  data: NumericArray;
}

/** Collects records into columns; the number of records need not be known before. */
export class ColumnsBuilder {
  private readonly columns: readonly GrowingColumn[];
  private readonly op: string;
  private count = 0;
  private capacity = 64;

  /** @param op what the error messages start with. */
  constructor(op: string, schema: Schema) {
    this.op = op;
    this.columns = Object.entries(schema).map(([name, { dtype, shape }]) => {
      const size = sizeOf(shape);
      return { name, dtype, shape, size, data: new arrayConstructor[dtype](this.capacity * size) };
    });
  }

  /** Adds a record. @throws EngineError `SCHEMA` with fields row, field */
  add(record: unknown): void {
    if (typeof record !== 'object' || record === null)
      throw this.broken('record', 'an object with the fields of the schema', record);
    if (this.count === this.capacity) this.grow();
    const own = Object.keys(record);
    for (const column of this.columns) {
      if (!Object.hasOwn(record, column.name)) throw this.broken(column.name, 'a value in every record', undefined);
      this.write(column, (record as Record<string, unknown>)[column.name]);
    }
    if (own.length !== this.columns.length) {
      const extra = own.find((name) => !this.columns.some((column) => column.name === name));
      throw this.broken(
        String(extra),
        'no value, as it is not in the schema',
        (record as Record<string, unknown>)[String(extra)],
      );
    }
    this.count++;
  }

  /** The columns, each in a SharedArrayBuffer of exactly its size (its start is 64-byte aligned, as every buffer's is). */
  finish(): Columns {
    const fields: Record<string, Column> = {};
    for (const { name, dtype, shape, size, data } of this.columns) {
      const length = this.count * size;
      const shared = sharedArray(dtype, length);
      shared.set(data.subarray(0, length) as Uint8Array);
      fields[name] = { dtype, shape, data: shared };
    }
    return { count: this.count, fields };
  }

  private write(column: GrowingColumn, value: unknown): void {
    const { dtype, size, data } = column;
    const at = this.count * size;
    if (column.shape.length === 0) {
      const number = typeof value === 'boolean' && dtype === 'bool' ? Number(value) : value;
      if (typeof number !== 'number' || !representable(dtype, number)) {
        throw this.broken(column.name, dtype === 'bool' ? 'a boolean' : `a number that ${dtype} holds`, value);
      }
      data[at] = number;
      return;
    }
    if (value instanceof arrayConstructor[dtype]) {
      if (value.length !== size)
        throw this.broken(column.name, `${size} elements, ${formatShape(column.shape)}`, value);
      data.set(value as Uint8Array, at);
      return;
    }
    // Plain arrays and other typed arrays convert when each element survives; a float64 may round to float32, as the schema asks for it.
    if (!(Array.isArray(value) || ArrayBuffer.isView(value)) || (value as ArrayLike<unknown>).length !== size) {
      throw this.broken(column.name, `${size} elements, ${formatShape(column.shape)}, as ${dtype}`, value);
    }
    const elements = value as ArrayLike<unknown>;
    for (let i = 0; i < size; i++) {
      const element = elements[i];
      if (typeof element !== 'number' || !representable(dtype, element)) {
        throw this.broken(`${column.name}[${i}]`, `a number that ${dtype} holds`, element);
      }
      data[at + i] = element;
    }
  }

  private grow(): void {
    this.capacity *= 2;
    for (const column of this.columns) {
      const grown = new arrayConstructor[column.dtype](this.capacity * column.size);
      grown.set(column.data as Uint8Array);
      column.data = grown;
    }
  }

  private broken(field: string, rule: string, value: unknown): EngineError {
    const schema = formatSchema(
      Object.fromEntries(this.columns.map(({ name, dtype, shape }) => [name, { dtype, shape }])),
    );
    return schemaError(
      `${this.op}: records must fit the schema ${schema}: ${field} must be ${rule}, got ${printValue(value)} in record ${this.count} of the partition. ` +
        "Pass the schema to cache({ field: { dtype, shape } }), or cache('records') to keep records as they are.",
      { field, row: this.count },
    );
  }
}

/** The same columns in shared memory: those that have come from another process need not be there. */
export function shareColumns(columns: Columns): Columns {
  const fields: Record<string, Column> = {};
  for (const [name, column] of Object.entries(columns.fields)) {
    const { dtype, data } = column;
    if (data.buffer instanceof SharedArrayBuffer) fields[name] = column;
    else {
      const shared = sharedArray(dtype, data.length);
      shared.set(data as Uint8Array);
      fields[name] = { ...column, data: shared };
    }
  }
  return { count: columns.count, fields };
}

function sharedArray(dtype: DType, length: number): NumericArray {
  const Constructor: new (buffer: ArrayBufferLike) => NumericArray = arrayConstructor[dtype];
  return new Constructor(new SharedArrayBuffer(length * bytesPerElement[dtype]));
}

/** Whether storing `value` in `dtype` keeps it; float32 may round. */
function representable(dtype: DType, value: number): boolean {
  switch (dtype) {
    case 'float32':
    case 'float64':
      return true;
    case 'int32':
      return (value | 0) === value;
    case 'uint8':
      return (value & 255) === value;
    case 'bool':
      return value === 0 || value === 1;
  }
}

function printValue(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name} of ${(value as Uint8Array).length}`;
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
