/** ONNX models of one node, written byte by byte (github.com/onnx/onnx, onnx.proto): as much of protobuf as that takes. */

function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}
const int = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => {
  const data = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);
};
const message = (field, ...parts) => bytes(field, Buffer.concat(parts));

const types = { float: 1, int64: 7 };

/** AttributeProto of an integer or a list of integers. */
function attribute(name, value) {
  const list = Array.isArray(value);
  const parts = list ? value.map((one) => int(8, one)) : [int(3, value)];
  return message(5, bytes(1, name), ...parts, int(20, list ? 7 : 2));
}

/** ValueInfoProto of a tensor. */
function valueInfo(field, name, type, shape) {
  const dims = shape.map((size) => message(1, int(1, size)));
  return message(field, bytes(1, name), message(2, message(1, int(1, types[type]), message(2, ...dims))));
}

/** TensorProto of float32 values. */
function initializer(name, values, shape) {
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return message(5, ...shape.map((size) => int(1, size)), int(2, types.float), bytes(8, name), bytes(9, raw));
}

/**
 * A model whose graph is one node, with the output `y`.
 *
 * @param {{ type: string, attributes?: Record<string, number | number[]>, inputs: { name: string, shape: number[], type?: string }[],
 *   constants?: { name: string, values: Float32Array, shape: number[] }[], order?: string[], output: number[] }} node `output` is y's shape,
 *   `order` the order of its inputs (inputs before constants, if not given)
 */
export function singleNode({ type, attributes = {}, inputs, constants = [], order, output }) {
  const names = (order ?? [...inputs, ...constants].map(({ name }) => name)).map((name) => bytes(1, name));
  const node = message(
    1,
    ...names,
    bytes(2, 'y'),
    bytes(4, type),
    ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  );
  const graph = message(
    7,
    node,
    bytes(2, 'bench'),
    ...constants.map(({ name, values, shape }) => initializer(name, values, shape)),
    ...inputs.map(({ name, shape, type: kind = 'float' }) => valueInfo(11, name, kind, shape)),
    valueInfo(12, 'y', 'float', output),
  );
  return Buffer.concat([int(1, 8), graph, message(8, int(2, 17))]);
}
