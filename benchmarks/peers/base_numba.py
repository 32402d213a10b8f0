#!/usr/bin/env python3
"""Hand-written numba baseline: K, chi_par, chi_perp, V, NTK H for tanh over a (C_b, C_W) grid (see base_c.c for formulas).
   python base_numba.py GRID LAYERS NODES THREADS [PARITY]
   For Intel SVML: pip install intel-cmplr-lib-rt  (numba -s | grep SVML)
Variants: libm  = math.tanh in a scalar node loop (fastmath)      -- what a reader would write
          poly  = own vectorisable tanh (exp by 2^k * polynomial), node loop, fastmath
          all with error_model='numpy': with numba's default Python division semantics the zero-division check
          stops LLVM from vectorising (12 ns/node instead of 2; see nbvec.py)
          block = poly, SIMD across 16 grid points, node loop outside   -- the ceiling for generated numba
CPU seconds (process_time) are printed, too, since other programs may run."""
import sys, time, math, numpy as np, numba as nb
from numpy.polynomial.hermite_e import hermegauss

@nb.njit(inline='always', error_model='numpy')
def ptanh(x):
    y = min(abs(x) * 2.0, 40.0)
    k = math.floor(y * 1.4426950408889634 + 0.5)
    r = (y - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
    p = 2.50521083854417188e-08
    p = p*r + 2.75573192239858907e-07; p = p*r + 2.75573192239858907e-06; p = p*r + 2.48015873015873016e-05
    p = p*r + 1.98412698412698413e-04; p = p*r + 1.38888888888888889e-03; p = p*r + 8.33333333333333333e-03
    p = p*r + 4.16666666666666667e-02; p = p*r + 1.66666666666666667e-01; p = p*r + 0.5; p = p*r + 1.0; p = p*r + 1.0
    e = np.int64((np.int64(k) + 1023) << 52).view(np.float64)
    return math.copysign(1.0 - 2.0 / (p * e + 1.0), x)

def make(tanh, par):
    @nb.njit(fastmath=True, error_model='numpy')
    def point(Cb, CW, K, L, x, w, wx, o):
        V = 0.0; H = K; cpar = 0.0; cperp = 0.0
        for l in range(L):
            s = math.sqrt(K); a = 0.0; b = 0.0; c = 0.0; d = 0.0
            for i in range(x.size):
                t = tanh(s * x[i]); t2 = t * t; q = 1.0 - t2
                a += w[i] * t2; b += wx[i] * t2; c += w[i] * t2 * t2; d += w[i] * q * q
            cpar = CW * b / (2 * K); cperp = CW * d
            V = cpar * cpar * V + CW * CW * (c - a * a)
            H = Cb + CW * a + cperp * H
            K = max(Cb + CW * a, 1e-300)
        o[0] = K; o[1] = cpar; o[2] = cperp; o[3] = V; o[4] = H
    @nb.njit(fastmath=True, error_model='numpy', parallel=par)
    def grid(cb, cw, L, x, w, wx, out):
        for i in nb.prange(cb.size):
            for j in range(cw.size):
                point(cb[i], cw[j], 1.0, L, x, w, wx, out[i, j])
    return grid

P = 16
def make_block(par):
    @nb.njit(fastmath=True, error_model='numpy')
    def block(Cb, CW, L, x, w, wx, o, K, V, H, s, a, b, c, d):
        for p in range(P):
            K[p] = 1.0; V[p] = 0.0; H[p] = 1.0
        for l in range(L):
            for p in range(P):
                s[p] = math.sqrt(K[p]); a[p] = 0.0; b[p] = 0.0; c[p] = 0.0; d[p] = 0.0
            for i in range(x.size):
                xi = x[i]; wi = w[i]; wxi = wx[i]
                for p in range(P):
                    t = ptanh(s[p] * xi); t2 = t * t; q = 1.0 - t2
                    a[p] += wi * t2; b[p] += wxi * t2; c[p] += wi * t2 * t2; d[p] += wi * q * q
            for p in range(P):
                cpar = CW[p] * b[p] / (2 * K[p]); cperp = CW[p] * d[p]
                V[p] = cpar * cpar * V[p] + CW[p] * CW[p] * (c[p] - a[p] * a[p])
                H[p] = Cb + CW[p] * a[p] + cperp * H[p]
                o[p, 1] = cpar; o[p, 2] = cperp
                K[p] = max(Cb + CW[p] * a[p], 1e-300)
        for p in range(P):
            o[p, 0] = K[p]; o[p, 3] = V[p]; o[p, 4] = H[p]
    @nb.njit(fastmath=True, error_model='numpy', parallel=par)
    def grid(cb, cw, L, x, w, wx, out):
        for i in nb.prange(cb.size):
            buf = np.empty((8, P))
            for j in range(0, cw.size, P):
                block(cb[i], cw[j:j+P], L, x, w, wx, out[i, j:j+P], buf[0], buf[1], buf[2], buf[3], buf[4], buf[5], buf[6], buf[7])
    return grid

if __name__ == '__main__':
    G, L, N, T = (int(v) for v in (sys.argv[1:5] + ['256', '50', '64', '1'][len(sys.argv) - 1:])[:4])
    parity = len(sys.argv) > 5 and sys.argv[5] == '1'
    nb.set_num_threads(T)
    x, w = hermegauss(N); w = w / np.sqrt(2 * np.pi)
    if parity:
        w, x = 2 * w[x > 0], x[x > 0]
    wx = w * (x * x - 1)
    out = np.empty((G, G, 5))
    try:
        import llvmlite.binding as ll
        print('numba', nb.__version__, 'SVML', nb.config.USING_SVML if hasattr(nb.config, 'USING_SVML') else '?', 'cpu', ll.get_host_cpu_name())
    except (ImportError, AttributeError): pass  # a line about the machine, not needed to measure
    for name, f in (('libm', make(math.tanh, T > 1)), ('poly', make(ptanh, T > 1)), ('block', make_block(T > 1))):
        g = G if name != 'libm' else min(G, 128)
        cb = np.linspace(0, 1, g); cw = np.linspace(.5, 3, g); o = out[:g, :g].copy()
        t = time.process_time(); f(cb[:1], cw[:P], 1, x, w, wx, o); comp = time.process_time() - t
        best = None
        for r in range(3):
            t0 = time.perf_counter(); c0 = time.process_time(); f(cb, cw, L, x, w, wx, o)
            t = time.perf_counter() - t0; c = time.process_time() - c0
            best = (t, c) if best is None or c < best[1] else best
        t, c = best; pl = g * g * L
        print(f'numba {name:5s} grid {g} layers {L} nodes {x.size} threads {T}: compile {comp:.2f} s, wall {t:.3f} cpu {c:.3f}  '
              f'{pl/t:.3g} point-layers/s wall, {pl/c:.3g} /cpu-s ({c/pl/x.size*1e9:.2f} ns/node)  K,V,H[mid]={o[g//2,g//2,[0,3,4]]}')
