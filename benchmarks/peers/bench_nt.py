#!/usr/bin/env python3
"""Time google/neural-tangents (closed-form / numerical NNGP+NTK, Monte Carlo) on this machine.

  python bench_nt.py case --act relu --depth 8 --N 500   # one case -> one JSON line
  python bench_nt.py grid  > bench_nt.jsonl              # closed forms, each case in its own process
  python bench_nt.py numerical > bench_nt_num.jsonl      # tanh via ElementwiseNumerical deg 25/50
  python bench_nt.py mc --N 4 [--samples 1000]           # monte_carlo_kernel_fn
  python bench_nt.py accuracy                            # ElementwiseNumerical error vs deg
  python bench_nt.py serve                               # cases as JSON lines on stdin, timed when asked for

Works with neural-tangents 0.6.5 and jax 0.4.20 .. 0.5.3 (0.6+ fails: jax.core.Jaxpr is gone).
TensorFlow (wanted only by neural_tangents.experimental) is stubbed out, so `pip install --no-deps` is enough.
float64 is on. Seconds are medians after jit warm-up; first_s includes tracing + XLA compilation.
"""
import argparse, json, os, subprocess, sys, time, types, warnings, statistics as st, resource

ACTS = {  # W_std^2, b_std^2
    'relu': (2.0, 0.0), 'erf': (1.0, 0.0), 'gelu': (1.98305826, 0.17292239), 'tanh': (1.0, 0.0)}


def load():
    warnings.filterwarnings('ignore')
    sys.modules.setdefault('neural_tangents.experimental',
                           types.ModuleType('neural_tangents.experimental'))
    import jax
    jax.config.update('jax_enable_x64', True)
    import jax.numpy as jnp
    import neural_tangents as nt
    from neural_tangents import stax
    return jax, jnp, nt, stax


def act_layer(stax, jnp, act, deg):
    if act == 'tanh':  # analytic derivative given, which the NT docs recommend for speed
        return stax.ElementwiseNumerical(jnp.tanh, deg=deg, df=lambda x: 1 - jnp.tanh(x) ** 2)
    return {'relu': stax.Relu, 'erf': stax.Erf, 'gelu': stax.Gelu}[act]()


def net(stax, jnp, act, depth, deg, width=1, out=1, end_act=False):
    cw, cb = ACTS[act]
    D = lambda n: stax.Dense(n, W_std=cw ** .5, b_std=cb ** .5)
    layers = []
    for _ in range(depth):
        layers += [D(width), act_layer(stax, jnp, act, deg)]
    if not end_act:
        layers += [D(out)]
    return stax.serial(*layers)


def rss_mb():
    for l in open('/proc/self/status'):
        if l.startswith('VmRSS'):
            return int(l.split()[1]) / 1024


def case(a):
    jax, jnp, nt, stax = load()
    import numpy as np
    x = jnp.asarray(np.random.RandomState(0).randn(a.N, 784))
    _, _, k = net(stax, jnp, a.act, a.depth, a.deg)
    if a.mode == 'repeat':  # stax.repeat: one lax.scan body, compile time independent of depth
        cw, cb = ACTS[a.act]
        D = lambda n: stax.Dense(n, W_std=cw ** .5, b_std=cb ** .5)
        _, _, k = stax.serial(D(1), act_layer(stax, jnp, a.act, a.deg), stax.repeat(
            stax.serial(D(1), act_layer(stax, jnp, a.act, a.deg)), a.depth - 1), D(1))
    f = lambda x: (lambda r: (r.nngp, r.ntk))(k(x, None, ('nngp', 'ntk')))
    if a.mode != 'eager':
        f = jax.jit(f)
    jnp.zeros(3).block_until_ready()
    base = rss_mb()
    t = time.perf_counter(); c = time.process_time()
    r = f(x); jax.block_until_ready(r)
    first = time.perf_counter() - t; first_cpu = time.process_time() - c
    ts = []; cs = []
    budget = time.perf_counter() + a.budget
    while len(ts) < a.repeats and (not ts or time.perf_counter() + ts[-1] < budget):
        t = time.perf_counter(); c = time.process_time()
        jax.block_until_ready(f(x)); ts.append(time.perf_counter() - t); cs.append(time.process_time() - c)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    med = st.median(cs)
    print(json.dumps(dict(act=a.act, deg=a.deg if a.act == 'tanh' else None, depth=a.depth, N=a.N,
                          mode=a.mode, wall_s=round(st.median(ts), 5), wall_min=round(min(ts), 5), cpu_s=round(med, 5), n=len(ts),
                          first_wall=round(first, 3), first_cpu=round(first_cpu, 3),
                          peak_mb=round(peak), extra_mb=round(peak - base),
                          cpu_ns_per_entry_layer=round(med / a.N ** 2 / a.depth * 1e9, 2),
                          k00=float(r[0][0, 0]), k01=float(r[0][0, 1]), t01=float(r[1][0, 1]),
                          jax=jax.__version__)), flush=True)


def sub(argv, limit_s, rss_cap_gb=17):
    """Run one case in a child; end that child if it passes limit_s or rss_cap_gb."""
    p = subprocess.Popen([sys.executable, __file__, 'case'] + argv, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    t0 = time.time(); peak = 0
    while p.poll() is None:
        try:
            for l in open(f'/proc/{p.pid}/status'):
                if l.startswith('VmRSS'):
                    peak = max(peak, int(l.split()[1]) / 2 ** 20)
        except OSError:
            pass
        if time.time() - t0 > limit_s or peak > rss_cap_gb:
            p.kill()
            print(json.dumps(dict(argv=' '.join(argv), killed='time' if time.time() - t0 > limit_s else 'rss',
                                  seen_rss_gb=round(peak, 1))), flush=True)
            p.wait(); return
        time.sleep(.1)
    print(p.stdout.read().strip() or json.dumps(dict(argv=' '.join(argv), rc=p.returncode)), flush=True)


def grid(a):
    for act in ('relu', 'erf', 'gelu'):
        for N in (100, 500, 1000, 2000):
            for depth in (1, 8, 32, 64):
                sub(['--act', act, '--N', str(N), '--depth', str(depth), '--mode', 'repeat',
                     '--repeats', '5' if N < 1000 else '3', '--budget', '5'], 120)
    for act in ('relu', 'erf', 'gelu'):  # plain serial(), as in the README: superlinear in depth on XLA:CPU
        for depth in (8, 32):
            sub(['--act', act, '--N', '300', '--depth', str(depth), '--mode', 'jit', '--repeats', '3', '--budget', '5'], 90)


def numerical(a):
    for deg, N, depth in ((25, 100, 1), (25, 100, 8), (25, 100, 32), (25, 100, 64), (25, 500, 1), (25, 500, 8),
                          (25, 1000, 1), (50, 100, 1), (50, 100, 8), (50, 500, 1)):
        sub(['--act', 'tanh', '--deg', str(deg), '--N', str(N), '--depth', str(depth), '--mode', 'repeat',
             '--repeats', '2', '--budget', '5'], 100)


def mc(a):
    jax, jnp, nt, stax = load()
    import numpy as np
    x = jnp.asarray(np.random.RandomState(0).randn(a.N, 784))
    out = dict(kind='mc', act=a.act, N=a.N, width=a.width, depth=a.depth, samples=a.samples)
    # (1) NNGP + NTK of a scalar-output network; plain n_samples=int as a user would call it
    i, ap, k = net(stax, jnp, a.act, a.depth, 25, width=a.width, out=1)
    warm = nt.monte_carlo_kernel_fn(i, ap, jax.random.PRNGKey(7), 2, vmap_axes=0)
    jax.block_until_ready(tuple(warm(x, None, ('nngp', 'ntk'))))
    f = nt.monte_carlo_kernel_fn(i, ap, jax.random.PRNGKey(0), a.samples, vmap_axes=0)
    t = time.perf_counter(); c = time.process_time()
    r = f(x, None, ('nngp', 'ntk')); jax.block_until_ready(tuple(r))
    out['wall_nngp_ntk'] = round(time.perf_counter() - t, 2); out['cpu_nngp_ntk'] = round(time.process_time() - c, 2)
    inf = k(x, None, ('nngp', 'ntk'))
    # (2) per-sample values (NT gives running means; undo them) -> statistical errors and the variance.
    # network ends with the activation: nngp = mean_j s_j s_j over 256 channels, Var*width -> V_{aabb}
    i2, ap2, k2 = net(stax, jnp, a.act, a.depth, 25, width=a.width, end_act=True)
    g = nt.monte_carlo_kernel_fn(i2, ap2, jax.random.PRNGKey(1), range(1, a.samples + 1), vmap_axes=0)
    c = time.process_time(); run = np.array([np.asarray(q) for q in g(x, None, 'nngp')])
    out['cpu_variance_run'] = round(time.process_time() - c, 2)
    n = np.arange(1, a.samples + 1)[:, None, None]
    tot = run * n
    s = np.diff(np.concatenate([np.zeros_like(tot[:1]), tot]), axis=0)  # individual samples
    cw, cb = ACTS[a.act]
    G = cb + cw * s[:, 0, 0]
    V = a.width * G.var(ddof=1)
    c = G - G.mean()
    seV = a.width * np.sqrt(((c ** 4).mean() - (c ** 2).mean() ** 2) / a.samples)
    Kinf = float(cb + cw * np.asarray(k2(x, None, 'nngp'))[0, 0])
    h = nt.monte_carlo_kernel_fn(i, ap, jax.random.PRNGKey(2), range(1, a.samples + 1), vmap_axes=0)
    c = time.process_time(); run = np.array([np.asarray(q) for q in h(x, None, 'ntk')])
    out['cpu_ntk_run'] = round(time.process_time() - c, 2)
    th = np.diff(np.concatenate([np.zeros_like(run[:1]), run * n]), axis=0)[:, 0, 0]
    out.update(kernel=dict(mean=G.mean(), se=G.std(ddof=1) / a.samples ** .5, inf=Kinf),
               vertex=dict(V=V, se=seV, rel_se=seV / V),
               ntk=dict(mean=th.mean(), se=th.std(ddof=1) / a.samples ** .5, inf=float(inf.ntk[0, 0]),
                        rel_var_times_n=a.width * th.var(ddof=1) / th.mean() ** 2),
               nngp_scalar_out=dict(mean=float(r.nngp[0, 0]), inf=float(inf.nngp[0, 0])),
               x2=float((x[0] ** 2).mean()), jax=jax.__version__)
    print(json.dumps(out), flush=True)


def accuracy(a):
    jax, jnp, nt, stax = load()
    import numpy as np
    from scipy.integrate import quad
    K = 1.0
    g = lambda z: np.exp(-z * z / 2 / K) / np.sqrt(2 * np.pi * K)
    ref = quad(lambda z: np.tanh(z) ** 2 * g(z), -12, 12, epsabs=1e-15, epsrel=1e-14, limit=400)[0]
    refd = quad(lambda z: (1 - np.tanh(z) ** 2) ** 2 * g(z), -12, 12, epsabs=1e-15, epsrel=1e-14, limit=400)[0]
    x = jnp.asarray(np.eye(4)[:2] * 2.0)  # |x|^2/n0 = 1, orthogonal
    for deg in (10, 15, 25, 50, 100, 200):
        _, _, k = stax.serial(stax.Dense(1, 1., 0.), stax.ElementwiseNumerical(
            jnp.tanh, deg=deg, df=lambda x: 1 - jnp.tanh(x) ** 2))
        r = k(x, None, ('nngp', 'ntk'))
        print(json.dumps(dict(kind='accuracy', deg=deg, rel_err_K=abs(float(r.nngp[0, 0]) / ref - 1),
                              rel_err_chi=abs(float(r.ntk[0, 0]) / K / refd - 1))), flush=True)


def kernel_function(jax, jnp, stax, act, deg, depth, mode):
    """x -> (nngp, ntk): depth activations, compiled; repeat scans one layer, jit is the README's serial network."""
    if mode == 'repeat' and depth > 1:
        cw, cb = ACTS[act]
        D = lambda n: stax.Dense(n, W_std=cw ** .5, b_std=cb ** .5)
        layer = stax.serial(D(1), act_layer(stax, jnp, act, deg))
        _, _, k = stax.serial(layer, stax.repeat(layer, depth - 1), D(1))
    else:
        _, _, k = net(stax, jnp, act, depth, deg)
    return jax.jit(lambda x: (lambda r: (r.nngp, r.ntk))(k(x, None, ('nngp', 'ntk'))))


def monte_carlo(jax, jnp, nt, stax, act, depth, width):
    """(x, samples, seed) -> n Var(G_00) with its standard error and the mean of G_00, G = C_b + C_W mean_j s_j s_j.

    NT returns running means of its samples; their differences are the samples. The network ends with the activation.
    """
    import numpy as np
    init, apply, _ = net(stax, jnp, act, depth, 25, width=width, end_act=True)
    cw, cb = ACTS[act]

    def draw(x, samples, seed):
        f = nt.monte_carlo_kernel_fn(init, apply, jax.random.PRNGKey(seed), range(1, samples + 1), vmap_axes=0)
        run = np.array([np.asarray(q)[0, 0] for q in f(x, None, 'nngp')]) * np.arange(1, samples + 1)
        G = cb + cw * np.diff(run, prepend=0.)
        c = G - G.mean()
        V = width * G.var(ddof=1)
        return V, width * np.sqrt(((c ** 4).mean() - (c ** 2).mean() ** 2) / samples), G.mean()
    return draw


def serve(a):
    """Answer JSON lines: {"do": "kernels", act, deg, depth, mode, inputs: file.npy} compiles and warms, "run" times it once,
    {"do": "save", "to": file.npz} writes the arrays; {"do": "monte_carlo", act, depth, width, inputs, samples, seed} times
    samples networks; "mark" is the resident memory in bytes, from where "peak" counts."""
    jax, jnp, nt, stax = load()
    import numpy as np
    function = x = arrays = draw = None
    drawn = None
    print(json.dumps(dict(ready=True, jax=jax.__version__, nt=getattr(nt, '__version__', '0.6.5'))), flush=True)
    for line in sys.stdin:
        ask = json.loads(line); answer = {}
        if ask['do'] == 'kernels':
            x = jnp.asarray(np.load(ask['inputs']))
            function = kernel_function(jax, jnp, stax, ask['act'], ask['deg'], ask['depth'], ask['mode'])
            arrays = None
            t = time.perf_counter()
            if ask.get('warm', True):
                jax.block_until_ready(function(x))
            answer = dict(first=time.perf_counter() - t)
        elif ask['do'] == 'run':
            arrays = None
            t = time.perf_counter(); c = time.process_time()
            arrays = jax.block_until_ready(function(x))
            answer = dict(wall=time.perf_counter() - t, cpu=time.process_time() - c)
        elif ask['do'] == 'save':
            np.savez(ask['to'], K=np.asarray(arrays[0]), Theta=np.asarray(arrays[1]))
        elif ask['do'] == 'monte_carlo':
            want = (ask['act'], ask['depth'], ask['width'])
            x = jnp.asarray(np.load(ask['inputs']))
            if drawn != want:
                draw, drawn = monte_carlo(jax, jnp, nt, stax, *want), want
                draw(x, 2, 7)
            t = time.perf_counter(); c = time.process_time()
            V, se, K = draw(x, ask['samples'], ask['seed'])
            answer = dict(wall=time.perf_counter() - t, cpu=time.process_time() - c, V=V, se=se, K=K)
        elif ask['do'] == 'mark':
            open('/proc/self/clear_refs', 'w').write('5')  # the peak counts from now on
            answer = dict(rss=status('VmRSS'))
        elif ask['do'] == 'peak':
            answer = dict(peak=status('VmHWM'))
        print(json.dumps({k: float(v) for k, v in answer.items()}), flush=True)


def status(name):
    return next(int(l.split()[1]) * 1024 for l in open('/proc/self/status') if l.startswith(name))


if __name__ == '__main__':
    p = argparse.ArgumentParser()
    p.add_argument('what', choices=['case', 'grid', 'numerical', 'mc', 'accuracy', 'serve'])
    p.add_argument('--act', default='relu'); p.add_argument('--deg', type=int, default=25)
    p.add_argument('--depth', type=int, default=4); p.add_argument('--N', type=int, default=100)
    p.add_argument('--width', type=int, default=256); p.add_argument('--samples', type=int, default=1000)
    p.add_argument('--mode', choices=['jit', 'eager', 'repeat'], default='jit')
    p.add_argument('--repeats', type=int, default=5); p.add_argument('--budget', type=float, default=6)
    a = p.parse_args()
    globals()[a.what](a)
