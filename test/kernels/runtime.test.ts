import { describe, expect, it } from 'vitest';
import { neg_f32 } from '../../kernels/map.ts';
import { callPointers, callReference } from '../../kernels/runtime/call.ts';
import { allocate, f32, free } from '../../kernels/runtime/memory.ts';

describe('calls', () => {
  it('run the binary on pointers and the reference on arrays with the same result', () => {
    const x = allocate(28);
    const y = allocate(28);
    f32(x, 7).set([1, -2, 3, -4, 5, -6, 7]);
    callPointers(neg_f32, [x, y, 7]);
    const expected = new Float32Array(7);
    callReference(neg_f32, 'float32', [f32(x, 7), expected, 7]);
    expect([...f32(y, 7)]).toEqual([...expected]);
    free(x);
    free(y);
  });
});
