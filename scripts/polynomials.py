"""Minimax coefficients of kernels/f32-math.ts, f32-double.ts and assembly/math.ts, double.ts, gelu.ts, by Remez's exchange (python3 -m pip install mpmath; not part of the build).

Each fit is weighted so that the relative error of the whole function is minimal; coefficients are then rounded to float32.
"""
import struct
from mpmath import mp, mpf, erf, erfc, exp, log, sin, tanh, sqrt, lu_solve, matrix, cos, pi

mp.dps = 40


def f32(x):
    return mpf(struct.unpack('f', struct.pack('f', float(x)))[0])


def alternation(err):
    """Where the extreme of each run of one sign is."""
    picks, best = [], 0
    for k in range(1, len(err) + 1):
        if k == len(err) or err[k] * err[best] < 0:
            picks.append(best)
            best = k
        elif abs(err[k]) > abs(err[best]):
            best = k
    return picks


def remez(f, w, a, b, degree):
    """Coefficients of p, lowest first, that minimise max |w (f - p)| on [a, b], and that maximum."""
    n = degree + 2
    xs = [(a + b) / 2 - (b - a) / 2 * cos(pi * k / (n - 1)) for k in range(n)]
    xs[0], xs[-1] = a + (b - a) * mpf('1e-9'), b
    for _ in range(8):
        m, r = matrix(n, n), matrix(n, 1)
        for i, x in enumerate(xs):
            for j in range(degree + 1):
                m[i, j] = x ** j
            m[i, degree + 1] = (-1) ** i / (w(x) + mpf('1e-12'))
            r[i] = f(x)
        s = lu_solve(m, r)
        c = [s[j] for j in range(degree + 1)]
        grid = [a + (b - a) * mpf(k + mpf('0.5')) / 1200 for k in range(1200)] + [b]
        err = [w(x) * (f(x) - sum(c[j] * x ** j for j in range(degree + 1))) for x in grid]
        picks = alternation(err)
        if len(picks) != n:
            break
        xs = [grid[k] for k in picks]
    return c, max(abs(e) for e in err)


def rounded(f, w, a, b, degree):
    """As remez, with coefficients rounded to float32 afterwards (they belong to small terms, so this costs little), and the error then."""
    c, _ = remez(f, w, a, b, degree)
    c = [f32(x) for x in c]
    grid = [a + (b - a) * mpf(k + mpf('0.5')) / 997 for k in range(997)]
    return c, max(abs(w(x) * (f(x) - sum(cj * x ** j for j, cj in enumerate(c)))) for x in grid)


def show(name, fit):
    c, e = fit
    print(name, 'max error in half-ulps (2^-24):', mp.nstr(e * 2 ** 24, 4))
    for x in c:
        print('   ', repr(float(x)))


def series(f, centre):
    """f with its removable singularity at 0 evaluated nearby."""
    return lambda x: f(x if abs(x) > mpf('1e-8') else centre)


half = log(2) / 2
tiny = mpf('1e-8')
# exp(r) = 1 + (r + r^2 p(r))
show('exp', rounded(series(lambda r: (exp(r) - 1 - r) / r ** 2, tiny), lambda r: r ** 2 / exp(r), -half, half, 4))
# log((1 + s) / (1 - s)) = 2 s + s z q(z), z = s^2
top = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2
show('log', rounded(series(lambda z: (log((1 + sqrt(z)) / (1 - sqrt(z))) - 2 * sqrt(z)) / (sqrt(z) * z), tiny), lambda z: z / 2, mpf(0), top, 3))
# tanh(x) = x + x z p(z), z = x^2, up to tanh(x) = 1/2
show('tanh', rounded(series(lambda z: (tanh(sqrt(z)) - sqrt(z)) / (sqrt(z) * z), tiny), lambda z: z, mpf(0), (log(3) / 2) ** 2, 4))
hi = mpf(int(log(2) * 2 ** 15)) / 2 ** 15
print('ln2 high (15 bits)', repr(float(hi)), 'low', repr(float(f32(log(2) - hi))), '1/ln2', repr(float(f32(1 / log(2)))))

# erf(x) = x + x p(z), z = x^2, up to the switch; above, 1 - exp(-q(x)), q = -ln erfc (the sources hold the coefficients of -q)
switch = mpf('0.921875')
show('erf', rounded(series(lambda z: erf(sqrt(z)) / sqrt(z) - 1, tiny), lambda z: 1, mpf(0), switch ** 2, 6))
show('-ln erfc', rounded(lambda a: -log(erfc(a)), lambda a: erfc(a) / erf(a), switch, mpf('3.95'), 7))


def atanh_series(z):
    return (log((1 + sqrt(z)) / (1 - sqrt(z))) - 2 * sqrt(z)) / (sqrt(z) * z)


# ln(1 + e) for e in [0, 1]: as log, with s = e / (2 + e) up to 1/3
show('softplus', rounded(series(atanh_series, tiny), lambda z: z / 2, mpf(0), mpf(1) / 9, 4))


def show_double(name, fit):
    c, e = fit
    print(name, 'max relative error: 2 to the', mp.nstr(log(e) / log(2), 4))
    for x in c:
        print('   ', repr(float(x)))


# Those by doubles: exp(r) = 1 + r + r^2 p(r); ln as above; sin r = r (1 + z p(z)), cos r = 1 - z / 2 + z^2 p(z), z = r^2
quarter = (pi / 4) ** 2
show_double('exp', remez(series(lambda r: (exp(r) - 1 - r) / r ** 2, tiny), lambda r: r, -half, half, 7))
show_double('log', remez(series(atanh_series, tiny), lambda z: z / 2, mpf(0), top, 5))
show_double('sin', remez(series(lambda z: (sin(sqrt(z)) / sqrt(z) - 1) / z, tiny), lambda z: z, mpf(0), quarter, 3))
show_double('cos', remez(series(lambda z: (cos(sqrt(z)) - 1 + z / 2) / z ** 2, mpf('1e-6')), lambda z: z * z, mpf(0), quarter, 3))


def rational(f, xs, n, m):
    """p of degree n and q of degree m with q(0) = 1, lowest first, that minimise max |p / (q f) - 1| on the points xs, and that maximum."""
    picks = [round((len(xs) - 1) * (1 - cos(pi * k / (n + m + 1))) / 2) for k in range(n + m + 2)]
    values = [f(x) for x in xs]
    q = [mpf(1)] + [mpf(0)] * m
    at = lambda c, x: sum(cj * x ** j for j, cj in enumerate(c))
    for _ in range(12):
        # p - f q = +-e f q is linear in p and q, but for the e q, which takes the last q.
        for _ in range(30):
            a, r = matrix(n + m + 2, n + m + 2), matrix(n + m + 2, 1)
            for i, k in enumerate(picks):
                x = xs[k]
                for j in range(n + 1):
                    a[i, j] = x ** j
                for j in range(1, m + 1):
                    a[i, n + j] = -values[k] * x ** j
                a[i, n + m + 1] = (-1) ** (i + 1) * values[k] * at(q, x)
                r[i] = values[k]
            s = lu_solve(a, r)
            p, q = [s[j] for j in range(n + 1)], [mpf(1)] + [s[n + j] for j in range(1, m + 1)]
        err = [at(p, x) / (at(q, x) * y) - 1 for x, y in zip(xs, values)]
        extremes = alternation(err)
        if len(extremes) != len(picks) or extremes == picks:
            break
        picks = extremes
    return p, q, max(abs(e) for e in err)


# GELU: exp as above, shorter
show_double('exp for GELU', remez(series(lambda r: (exp(r) - 1 - r) / r ** 2, tiny), lambda r: r ** 2 / exp(r), -half, half, 5))
# Phi(-a) = exp(-a^2 / 2) p(a) / q(a), a up to 15, on points that are close to each other near 0
points = [(1 / (1 - mpf(k) / 2000 * mpf(45) / 55) - 1) * mpf(10) / 3 for k in range(2001)]
p, q, e = rational(lambda a: erfc(a / sqrt(2)) / 2 * exp(a * a / 2), points, 5, 6)
print('normal tail max relative error: 2 to the', mp.nstr(log(e) / log(2), 4))
for x in p + q:
    print('   ', repr(float(x)))
