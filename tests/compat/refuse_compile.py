#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# refuse_compile.py - K1, K8: what must not compile with the kernel's spelling, and what must, with one -I. With each
# compiler named: refuse_compile.py [--together] COMPAT_DIR COMPILER... With --together what goes with what alone;
# COMPAT_DIR may be several folders, divided by a colon, the compatibility headers' last.
import itertools
import os
import re
import subprocess
import sys
import tempfile

REFUSED = 'flags that name no mode, or two'
ALLOC = ['kmalloc(64, GFP)', 'kzalloc(64, GFP)', 'kvmalloc(64, GFP)', 'krealloc(NULL, 64, GFP)', 'kmemdup("", 1, GFP)',
         'kmem_cache_alloc(cache, GFP)', 'mempool_alloc(pool, GFP)', 'alloc_pages(GFP, 0)',
         '(void *)__get_free_page(GFP)', '__vmalloc(64, GFP)']
BAD_FLAGS = ['0', '__GFP_NOWARN', '__GFP_NOMEMALLOC | __GFP_NOWARN', 'GFP_NOWAIT & ~__GFP_RECLAIM',
             'GFP_KERNEL | __GFP_NO_LOCKS', 'GFP_NOWAIT | __GFP_FAST_TRY', '__GFP_NO_LOCKS | __GFP_FAST_TRY',
             'GFP_KERNEL | __GFP_NOFAIL | __GFP_NORETRY', 'GFP_ATOMIC | __GFP_NOFAIL']
GOOD_FLAGS = ['GFP_KERNEL', 'GFP_ATOMIC', '__GFP_NO_LOCKS', '__GFP_FAST_TRY', 'GFP_NOWAIT | __GFP_NOMEMALLOC | __GFP_NOWARN',
              'GFP_KERNEL | __GFP_NOLOCKDEP', 'flags']
# False friends: what the kernel has, and has no meaning here.
ABSENT = ['p = kmalloc(64, GFP_KERNEL | __GFP_DMA)', 'p = kmalloc(64, GFP_DMA)', 'p = alloc_page(GFP_HIGHUSER)',
          'p = alloc_page(__GFP_HIGHMEM | GFP_KERNEL)', 'p = alloc_page(GFP_KERNEL | __GFP_COMP)',
          'p = alloc_page(GFP_KERNEL | __GFP_MOVABLE)', 'preempt_disable()', 'p = this_cpu_ptr(counts)',
          'p = get_cpu_ptr(counts)', 'spin_lock_bh(&spin)', 'rcu_read_lock_bh()', 'p = current',
          'cache = kmem_cache_create("x", 8, 0, SLAB_TYPESAFE_BY_RCU, NULL)', 'return mutex_lock_interruptible(&mutex)',
          'p = page->mapping', 'kfree_rcu(object, other)', 'p = mempool_create(1, 0, 0, 0)']
PROGRAM = '''#include <linux/slab.h>
#include <linux/gfp.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
extern struct kmem_cache *cache;
extern mempool_t *pool;
extern struct object { int other; struct rcu_head rcu; } *object;
extern int *counts;
extern struct page *page;
extern spinlock_t spin;
extern struct mutex mutex;
extern void *p;
'''
LIBURCU = 'liburcu and linux/rcupdate.h in one file'


def by_folder(include):
    return [f'-I{folder}' for folder in include.split(':')]


def compile_it(compiler, level, include, text, suffix='.c'):
    """Whether it compiles, what is said, and what of it is an error, by line."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, 'x' + suffix)
        with open(source, 'w', encoding='utf-8') as out:
            out.write(text)
        # Every error, and where the call is written, not the macro.
        flags = ['-ferror-limit=0'] if 'clang' in compiler else ['-fmax-errors=0', '-ftrack-macro-expansion=0']
        if suffix == '.c':
            flags += ['-std=gnu11', '-Werror=implicit-function-declaration', '-Werror=int-conversion']
        result = subprocess.run([compiler, *flags, level, '-Wall', '-Wno-unused', *by_folder(include), '-c', source,
                                 '-o', os.path.join(folder, 'x.o')], capture_output=True, text=True, check=False)
    lines = {}
    for line, what in re.findall(re.escape(source) + r':(\d+):.*?error: (.*)', result.stderr):
        lines[int(line)] = lines.get(int(line), '') + what
    return result.returncode == 0, result.stderr, lines


def a_line_each(compiler, level, include, lines):
    """What is wrong with each of these statements, or ''; each in a function of its own."""
    text = PROGRAM + ''.join(f'int f{i}(gfp_t flags); int f{i}(gfp_t flags) {{ {line}; return flags + {i}; }}\n'
                             for i, line in enumerate(lines))
    done, said, errors = compile_it(compiler, level, include, text)
    first = PROGRAM.count('\n') + 1
    return done, said, [errors.get(first + i, '') for i in range(len(lines))]


class Verdicts:
    def __init__(self):
        self.failed, self.count = 0, 0

    def __call__(self, holds, what, said):
        self.count += 1
        if not holds:
            self.failed += 1
            print(f'not ok {what}: {said.strip()[:800]}')


def calls(flags):
    return ['p = ' + call.replace('GFP', gfp, 1) for call in ALLOC for gfp in flags]


def together(compiler, include, verdict):
    """What goes with what: liburcu, C++, libc."""
    for order in (['linux/rcupdate.h', 'urcu/urcu-memb.h'], ['urcu.h', 'linux/slab.h'],
                  ['linux/rculist.h', 'urcu/urcu-qsbr.h'], ['urcu/urcu-bp.h', 'linux/rcupdate.h']):
        theirs = [name for name in order if 'urcu' in name and 'linux' not in name]
        if not compile_it(compiler, '-O0', include, f'#include <{theirs[0]}>\n')[0]:
            print(f'# {compiler}: liburcu is not here')
            continue
        done, said, _ = compile_it(compiler, '-O0', include, ''.join(f'#include <{name}>\n' for name in order))
        verdict(not done and LIBURCU in said, f'K8 {compiler}: {order} is refused', said)
    plusplus = compiler.replace('gcc', 'g++').replace('clang', 'clang++')
    done, said, _ = compile_it(plusplus, '-O0', include, '#include <linux/slab.h>\n', '.cc')
    verdict(not done and 'is for C' in said, f'K8 {plusplus} is refused', said)
    system = ['linux/list.h', 'linux/futex.h', 'signal.h', 'sys/socket.h', 'errno.h', 'linux/types.h', 'linux/sched.h']
    done, said, _ = compile_it(compiler, '-O0', include, ''.join(f'#include <{name}>\n' for name in system))
    verdict(done, f"K8 {compiler}: beside libc's and the system's own headers", said)


def headers(include):
    return [f'{folder}/{name}' for folder in ('asm', 'linux', 'linux/sched', 'nostall')
            for name in sorted(os.listdir(os.path.join(include, folder))) if name.endswith('.h')]


def alone(compiler, include, rt, files, verdict):
    """Each of these files' headers, with the warnings a user may have on."""
    for names in files:
        result = subprocess.run([compiler, '-std=gnu11', '-Wall', '-Wextra', '-Wshadow', '-Wundef', '-Wvla', '-Wcast-qual',
                                 '-Wstrict-prototypes', '-Wmissing-prototypes', '-Werror', f'-DNST_COMPAT_RT={rt}', '-I', include,
                                 '-fsyntax-only', '-x', 'c', '-'], input=''.join(f'#include <{name}>\n' for name in names),
                                capture_output=True, text=True, check=False)
        verdict(not result.returncode, f'K8 {compiler} {names} alone', result.stderr)


def main():
    args = [arg for arg in sys.argv[1:] if arg != '--together']
    include, compilers = args[0], args[1:]
    verdict = Verdicts()
    if len(args) < len(sys.argv) - 1:
        for compiler in compilers:
            together(compiler, include, verdict)
        return verdict.failed != 0
    for compiler, level in itertools.product(compilers, ('-O0', '-O2')):
        # Optimised, one of them: it is the same macro in each.
        how, bad = f'{compiler} {level}', calls(BAD_FLAGS)[:None if level == '-O0' else len(BAD_FLAGS)]
        for line, said in zip(bad, a_line_each(compiler, level, include, bad)[2]):
            verdict(REFUSED in said, f'K1 {how}: {line} is refused', said)
        done, said, _ = a_line_each(compiler, level, include,
                                    calls(GOOD_FLAGS) + ['kfree_rcu(object, rcu)', 'kvfree_rcu(p)', 'kfree_rcu(p)'])
        verdict(done, f'K8 {how}: with one -I', said)
    for compiler in compilers:
        for line, said in zip(ABSENT, a_line_each(compiler, '-O0', include, ABSENT)[2]):
            verdict(said, f'K1 {compiler}: {line} does not compile', said)
        together(compiler, include, verdict)
        alone(compiler, include, 1, [headers(include), headers(include)[::-1]], verdict)
    alone(compilers[0], include, 0, [[name] for name in headers(include)], verdict)
    print(f'# {verdict.failed} of {verdict.count}' if verdict.failed else f'ok K1 K8: {verdict.count} programs')
    return verdict.failed != 0


sys.exit(main())
