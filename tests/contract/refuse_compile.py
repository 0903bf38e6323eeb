#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# refuse_compile.py - C10 at compile time: a constant that is not exactly one mode does not compile,
# and one that is does. With each compiler named: refuse_compile.py INCLUDE_DIR COMPILER...
import itertools
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
int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	CALL;
	return 0;
}
'''


def compiles(compiler, level, include, call, mode):
    with tempfile.NamedTemporaryFile('w', suffix='.c') as source:
        source.write(PROGRAM.replace('CALL', call).replace('MODE', mode))
        source.flush()
        result = subprocess.run([compiler, '-std=gnu11', level, '-Wall', '-I', include, '-c',
                                 source.name, '-o', '/dev/null'], capture_output=True, text=True)
    return result.returncode == 0, result.stderr


def main():
    include, compilers = sys.argv[1], sys.argv[2:]
    failed = False
    for compiler, level in itertools.product(compilers, ('-O0', '-O2')):
        for call_name, call in CALLS.items():
            for modes, wanted in ((BAD, False), (GOOD, True)):
                for name, mode in modes.items():
                    done, text = compiles(compiler, level, include, call, mode)
                    why = None
                    if done != wanted:
                        why = 'compiles' if done else 'does not compile: ' + text
                    elif not wanted and 'a mode is exactly one of' not in text:
                        why = 'the message does not say what is allowed: ' + text
                    if why:
                        failed = True
                        print(f'not ok C10 {compiler} {level} {call_name} {name}: {why}')
        print(f'ok C10 {compiler} {level}: {len(CALLS)} calls x {len(BAD)} bad and {len(GOOD)} good modes'
              if not failed else f'# {compiler}: see above')
    return failed


sys.exit(main())
