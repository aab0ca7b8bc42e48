/**
 * @file A strict reader for JSON headers of binary formats. `JSON.parse` will not do: it keeps the last of two equal keys without a word, sorts
 * keys that look like numbers to the front, and gives `__proto__` a meaning. Here objects are Maps in file order, equal keys are an error, and
 * numbers are whole, from 0 to 2^53 - 1, because sizes and offsets are all that such headers count.
 */

/** A value in a header. */
export type HeaderValue = string | number | HeaderValue[] | Map<string, HeaderValue>;

/** What is wrong with a header. `rule` is `json`, `duplicateKey`, `number` or `depth`. */
export class HeaderSyntaxError extends Error {
  readonly rule: 'json' | 'duplicateKey' | 'number' | 'depth';

  constructor(rule: HeaderSyntaxError['rule'], message: string) {
    super(message);
    this.rule = rule;
  }
}

const MAX_DEPTH = 16;

/** Reads one JSON value with nothing but white space around it. @throws HeaderSyntaxError */
export function parseHeaderJson(text: string): HeaderValue {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class Reader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  value(depth: number): HeaderValue {
    if (depth > MAX_DEPTH)
      throw new HeaderSyntaxError('depth', `nested deeper than ${MAX_DEPTH} levels at character ${this.at}`);
    switch (this.peek()) {
      case '{':
        return this.object(depth);
      case '[':
        return this.array(depth);
      case '"':
        return this.string();
      default:
        return this.number();
    }
  }

  end(): void {
    if (this.peek() !== '') throw this.unexpected('the end');
  }

  private object(depth: number): Map<string, HeaderValue> {
    const entries = new Map<string, HeaderValue>();
    this.at++;
    if (this.take('}')) return entries;
    do {
      if (this.peek() !== '"') throw this.unexpected('a key');
      const key = this.string();
      if (entries.has(key)) throw new HeaderSyntaxError('duplicateKey', `the key ${JSON.stringify(key)} comes twice`);
      this.expect(':');
      entries.set(key, this.value(depth + 1));
    } while (this.take(','));
    this.expect('}');
    return entries;
  }

  private array(depth: number): HeaderValue[] {
    const items: HeaderValue[] = [];
    this.at++;
    if (this.take(']')) return items;
    do items.push(this.value(depth + 1));
    while (this.take(','));
    this.expect(']');
    return items;
  }

  private string(): string {
    const start = this.at++;
    for (;;) {
      const char = this.text[this.at];
      if (char === undefined) throw this.unexpected('the end of a string');
      this.at += char === '\\' ? 2 : 1;
      if (char === '"') break;
    }
    try {
      return JSON.parse(this.text.slice(start, this.at)) as string;
    } catch {
      throw new HeaderSyntaxError('json', `a broken string at character ${start}`);
    }
  }

  private number(): number {
    const start = this.at;
    while (/[-+.\w]/.test(this.text[this.at] ?? '')) this.at++;
    const token = this.text.slice(start, Math.min(this.at, start + 40));
    if (token === '') throw this.unexpected('a value');
    const value = Number(token);
    if (/^(?:0|[1-9]\d*)$/.test(token) && Number.isSafeInteger(value)) return value;
    // Not `json` only when it would be a number in JSON.
    const rule = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(token) ? 'number' : 'json';
    throw new HeaderSyntaxError(
      rule,
      `a whole number from 0 to 2^53 - 1 is needed, got ${token} at character ${start}`,
    );
  }

  /** The next character that is not white space; '' at the end. */
  private peek(): string {
    while (' \t\n\r'.includes(this.text[this.at] ?? '?')) this.at++;
    return this.text[this.at] ?? '';
  }

  private take(char: string): boolean {
    if (this.peek() !== char) return false;
    this.at++;
    return true;
  }

  private expect(char: string): void {
    if (!this.take(char)) throw this.unexpected(char);
    this.peek();
  }

  private unexpected(expected: string): HeaderSyntaxError {
    return new HeaderSyntaxError(
      'json',
      `${expected} is needed at character ${this.at}, got ${JSON.stringify(this.text[this.at] ?? 'the end')}`,
    );
  }
}
