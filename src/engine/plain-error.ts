/** @file Errors as plain data and back. Anything can be thrown: errors that cannot be cloned, functions, null. */
import { ShoalError } from '../errors.ts';
import type { PlainError } from './messages.ts';

const MAX_CAUSES = 8;

/** Turns anything thrown into plain data; never throws itself. */
export function toPlainError(thrown: unknown, final = false, depth = 0): PlainError {
  const plain = describe(thrown);
  const cause = thrown instanceof Error && thrown.cause !== undefined && depth < MAX_CAUSES;
  return {
    ...plain,
    ...(final ? { final: true } : {}),
    ...(cause ? { cause: toPlainError(thrown.cause, false, depth + 1) } : {}),
  };
}

function describe(thrown: unknown): PlainError {
  try {
    if (!(thrown instanceof Error))
      return { name: 'NonError', message: `a task threw something that is not an Error: ${printed(thrown)}` };
    const { code, fields } = thrown as { code?: unknown; fields?: unknown };
    return {
      name: String(thrown.name),
      message: String(thrown.message),
      ...(typeof code === 'string' ? { code } : {}),
      ...(thrown instanceof ShoalError || isRecord(fields) ? { fields: cloneableFields(fields) } : {}),
      ...(typeof thrown.stack === 'string' ? { stack: thrown.stack } : {}),
    };
  } catch {
    return { name: 'Error', message: 'a task threw an error that cannot be read' };
  }
}

/** An error made of plain data, to be the `cause` of what the caller of a job catches. */
export function fromPlainError(plain: PlainError): ShoalError {
  const cause = plain.cause === undefined ? undefined : fromPlainError(plain.cause);
  const error = new ShoalError(plain.code ?? 'TASK_ERROR', plain.message, plain.fields ?? {}, cause);
  error.name = plain.name;
  if (plain.stack !== undefined) error.stack = plain.stack;
  return error;
}

function printed(value: unknown): string {
  return typeof value === 'function' ? 'a function' : typeof value === 'symbol' ? 'a symbol' : String(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function cloneableFields(fields: unknown): Record<string, unknown> {
  try {
    return structuredClone(isRecord(fields) ? fields : {});
  } catch {
    return {};
  }
}
