#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# refuse_compile.py - C10 at compile time: a constant that is not exactly one mode does not compile,
# and one that is does. With each compiler named: refuse_compile.py INCLUDE_DIR COMPILER...
import itertools
import re
import subprocess
import sys
import tempfile

BAD = {
    'mode 0': '0',
    'two modes': 'NST_NOLOCK | NST_NORMAL',
    'the no-lock modes both': 'NST_NOLOCK | NST_FASTTRY',
    'modifiers alone': 'NST_ZERO | NST_NOWARN',
    'an unknown bit': 'NST_NORMAL | (1u << 30)',
    'every bit': '~0u',
}
GOOD = {
    'a mode': 'NST_NOLOCK',
    'a mode and modifiers': 'NST_NORMAL | NST_ZERO | NST_THISNODE',
    'a mode not known until run time': 'argc ? NST_NOWAIT : NST_NOLOCK',
    'a bad mode not known until run time': '(nst_mode_t)argc',
}
CALLS = {
    'nst_alloc': 'p = nst_alloc(64, MODE)',
    'nst_alloc_aligned': 'p = nst_alloc_aligned(64, 64, MODE)',
    'nst_realloc': 'p = nst_realloc(NULL, 64, MODE)',
    'nst_alloc_bulk': 'n = nst_alloc_bulk(64, MODE, 1, &p)',
    'nst_cache_alloc': 'p = nst_cache_alloc(NULL, MODE)',
    'nst_cache_alloc_bulk': 'n = nst_cache_alloc_bulk(NULL, MODE, 1, &p)',
    'nst_pages_alloc': 'p = nst_pages_alloc(0, MODE)',
}
PROGRAM = '''#include <nostall/nostall.h>
void *p;
size_t n;
int here;
'''


def errors(compiler, level, include, lines):
    """What the compiler says of each line of such a program, a function a line."""
    with tempfile.NamedTemporaryFile('w', suffix='.c') as source:
        source.write(PROGRAM + ''.join(f'void f{i}(int argc) {{ here = argc + {i}; {line}; }}\n' for i, line in enumerate(lines)))
        source.flush()
        # Every error, and where the call is written, not the macro.
        flags = ['-ferror-limit=0'] if 'clang' in compiler else ['-fmax-errors=0', '-ftrack-macro-expansion=0']
        result = subprocess.run([compiler, '-std=gnu11', level, '-Wall', '-I', include, '-c', source.name,
                                 *flags, '-o', '/dev/null'], capture_output=True, text=True)
        said = re.findall(re.escape(source.name) + r':(\d+):.*?error: (.*)', result.stderr)
    first = PROGRAM.count('\n') + 1
    return result.returncode == 0, {int(line) - first: text for line, text in said}


def main():
    include, compilers = sys.argv[1], sys.argv[2:]
    bad = [(call, name, text.replace('MODE', mode)) for call, text in CALLS.items() for name, mode in BAD.items()]
    good = [(call, name, text.replace('MODE', mode)) for call, text in CALLS.items() for name, mode in GOOD.items()]
    failed = False
    for compiler, level in itertools.product(compilers, ('-O0', '-O2')):
        _, refused = errors(compiler, level, include, [line for _, _, line in bad])
        why = [f'{call} {name}: compiles, or the message does not say what is allowed: {refused.get(i)}'
               for i, (call, name, _) in enumerate(bad) if 'a mode is exactly one of' not in refused.get(i, '')]
        done, wrong = errors(compiler, level, include, [line for _, _, line in good])
        if not done:
            why += [f'{good[i][0]} {good[i][1]}: does not compile: {text}' for i, text in wrong.items()] or ['the good ones']
        for text in why:
            print(f'not ok C10 {compiler} {level} {text}')
        failed = failed or bool(why)
        print(f'ok C10 {compiler} {level}: {len(CALLS)} calls x {len(BAD)} bad and {len(GOOD)} good modes'
              if not why else f'# {compiler}: see above')
    return failed


sys.exit(main())
